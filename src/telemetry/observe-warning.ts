import { processWarning } from '../lib/process-warning.js'
import { printable } from '../lib/sanitize.js'
import type { Policy } from '../policy/policy.js'

const effect = 'denials are only reported, and the denied requests reach the handlers without a grant'

/** The maximum number of routes in one warning. */
const maxNames = 10

/** Warns, when a verifier is made, that its policy or some of its routes have mode "observe". */
export function warnAboutObserveMode({ mode, routes }: Policy): void {
  const routesWith = (wanted: 'observe' | 'enforce') =>
    Object.entries(routes).flatMap(([key, rule]) =>
      typeof rule === 'object' && rule.mode === wanted ? [printable(key)] : [],
    )
  if (mode === 'observe') {
    const enforced = routesWith('enforce')
    warn(`the policy has mode "observe"${enforced.length === 0 ? '' : `, except on ${firstNames(enforced)}`}`)
    return
  }
  const observed = routesWith('observe')
  if (observed.length > 0)
    warn(`${firstNames(observed)} ${observed.length === 1 ? 'has' : 'have'} mode "observe"`)
}

/** Warns, when a `requireIntent` or a `requireToolIntent` is made, that its rule has mode "observe". */
export function warnAboutObservedRule(
  { mode }: { readonly mode?: string | undefined },
  name = 'a requireIntent',
): void {
  if (mode === 'observe') warn(`${name} has mode "observe"`)
}

function firstNames(names: readonly string[]): string {
  const more = names.length - maxNames
  return names.slice(0, maxNames).join(', ') + (more > 0 ? ` and ${more} more` : '')
}

function warn(subject: string): void {
  processWarning(`${subject}: ${effect}`, 'AJWT_OBSERVE')
}
