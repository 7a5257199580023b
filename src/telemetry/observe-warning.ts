import { processWarning } from '../lib/process-warning.js'
import { printable } from '../lib/sanitize.js'
import type { Policy } from '../policy/policy.js'

const effect = 'what is refused is only reported, and reaches the handlers without a grant'

/** Most route names in one warning. */
const maxNames = 10

/** Warns once, when the verifier is made, that the policy or some routes only observe. */
export function warnOfObserving({ mode, routes }: Policy): void {
  const named = (wanted: 'observe' | 'enforce') =>
    Object.entries(routes).flatMap(([key, rule]) =>
      typeof rule === 'object' && rule.mode === wanted ? [printable(key)] : [],
    )
  if (mode === 'observe') {
    const enforced = named('enforce')
    warn(`the policy has mode "observe"${enforced.length === 0 ? '' : `, except on ${firstNames(enforced)}`}`)
    return
  }
  const observed = named('observe')
  if (observed.length > 0)
    warn(`${firstNames(observed)} ${observed.length === 1 ? 'has' : 'have'} mode "observe"`)
}

/** Warns that a `requireIntent` only observes, when it is made. */
export function warnOfObservingRule({ mode }: { readonly mode?: string | undefined }): void {
  if (mode === 'observe') warn('a requireIntent has mode "observe"')
}

function firstNames(names: readonly string[]): string {
  const more = names.length - maxNames
  return names.slice(0, maxNames).join(', ') + (more > 0 ? ` and ${more} more` : '')
}

function warn(subject: string): void {
  processWarning(`${subject}: ${effect}`, 'AJWT_OBSERVE')
}
