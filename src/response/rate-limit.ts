import type { LimitState } from '../refusal.js'
import { chargesOf } from '../stores/limits.js'
import type { Consumed } from '../stores/replay.js'

const noFields = Object.freeze({})

/** The state of all limits that a request was counted in so far, if the rule has limits. */
export function rateLimitFieldsOf(
  { limits }: { readonly limits: readonly unknown[] },
  consumed: Consumed[],
): Readonly<Record<string, string>> {
  return limits.length === 0 ? noFields : Object.freeze(rateLimitFields(chargesOf(consumed)))
}

/**
 * `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): for each limit its quota and
 * window, and how much is left for how many seconds. Sums of decimal amounts are rounded down.
 */
export function rateLimitFields(limits: readonly LimitState[]): Record<string, string> {
  const named = [...new Map(limits.map((limit) => [limit.key ?? limit, limit])).values()]
  const names = new Set<string>()
  const items = named.map(({ name, max, ruleWindow, remaining, resetSeconds }) => {
    const item = quoted(name, names)
    const window = ruleWindow === undefined ? '' : `;w=${ruleWindow}`
    return {
      policy: `${item};q=${Math.floor(max)}${window}`,
      state: `${item};r=${Math.floor(remaining)};t=${Math.ceil(resetSeconds)}`,
    }
  })
  return {
    'ratelimit-policy': items.map(({ policy }) => policy).join(', '),
    ratelimit: items.map(({ state }) => state).join(', '),
  }
}

/** Needs no escaping: the schema allows letters, digits, dots, hyphens and underscores. */
function quoted(name: string, names: Set<string>): string {
  let unique = name
  for (let number = 2; names.has(unique); number++) unique = `${name}-${number}`
  names.add(unique)
  return `"${unique}"`
}
