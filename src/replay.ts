import { isPromise, patience, withDeadline } from './deadline.js'
import type { DenialCode } from './denials.js'
import type { ReplayStore } from './options.js'

/** Uses something up: `ifKnown` where that was done before. `ttl` is in seconds. */
export type UseOnce = (key: string, ttl: number, ifKnown: DenialCode) => Promise<DenialCode | undefined>

export function createUseOnce(store: ReplayStore): UseOnce {
  return async (key, ttl, ifKnown) => {
    let isNew: unknown
    try {
      // A second at least: some stores take nothing for "until now", and would keep it for ever or not at all.
      const answer: unknown = store.remember(key, Math.max(ttl, 1))
      isNew = isPromise(answer) ? await withDeadline(answer, patience) : answer
    } catch {
      return 'replay_store_unavailable'
    }
    // An answer that is neither is no answer: a store that says "OK" for a known key would let replays in.
    if (typeof isNew !== 'boolean') return 'replay_store_unavailable'
    return isNew ? undefined : ifKnown
  }
}
