import type { DenialCode } from './denials.js'
import { isPromise, type Maybe, patience, withDeadline } from './maybe.js'
import type { ReplayStore } from './options.js'

/** Uses something up: `ifKnown` where that was done before. `ttl` is in seconds. */
export type UseOnce = (key: string, ttl: number, ifKnown: DenialCode) => Maybe<DenialCode | undefined>

export function createUseOnce(store: ReplayStore): UseOnce {
  return (key, ttl, ifKnown) => {
    try {
      // A second at least: some stores take nothing for "until now", and would keep it for ever or not at all.
      const isNew: unknown = store.remember(key, Math.max(ttl, 1))
      if (!isPromise(isNew)) return toCode(isNew, ifKnown)
      return withDeadline(isNew, patience).then(
        (answer) => toCode(answer, ifKnown),
        () => 'replay_store_unavailable',
      )
    } catch {
      return 'replay_store_unavailable'
    }
  }
}

/** An answer that is neither is no answer: a store that says "OK" for a known key would let replays in. */
function toCode(isNew: unknown, ifKnown: DenialCode): DenialCode | undefined {
  if (typeof isNew !== 'boolean') return 'replay_store_unavailable'
  return isNew ? undefined : ifKnown
}
