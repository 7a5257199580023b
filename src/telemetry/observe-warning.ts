import { processWarning } from '../lib/process-warning.js'
import { printable } from '../lib/sanitize.js'
import type { Policy } from '../policy/policy.js'

const effect = 'what is refused is only reported, and reaches the handlers without a grant'

/** Names of routes in one line; a policy may have thousands. */
const maxNames = 10

/** One warning for a policy that does not refuse everything it denies, when its verifier is made. */
export function warnOfObserving({ mode, routes }: Policy): void {
  const named = (wanted: 'observe' | 'enforce') =>
    Object.entries(routes).flatMap(([key, rule]) =>
      typeof rule === 'object' && rule.mode === wanted ? [printable(key)] : [],
    )
  if (mode === 'observe') {
    const enforced = named('enforce')
    warn(`the policy has mode "observe"${enforced.length === 0 ? '' : `, except on ${list(enforced)}`}`)
    return
  }
  const observed = named('observe')
  if (observed.length > 0) warn(`${list(observed)} ${observed.length === 1 ? 'has' : 'have'} mode "observe"`)
}

/** The same for a `requireIntent`, when it is made. */
export function warnOfObservingRule({ mode }: { readonly mode?: string | undefined }): void {
  if (mode === 'observe') warn('a requireIntent has mode "observe"')
}

function list(names: readonly string[]): string {
  const more = names.length - maxNames
  return names.slice(0, maxNames).join(', ') + (more > 0 ? ` and ${more} more` : '')
}

function warn(subject: string): void {
  processWarning(`${subject}: ${effect}`, 'AJWT_OBSERVE')
}
