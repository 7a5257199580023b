import type { DenialCode } from './denials.js'
import { sha256 } from './jose/sha256.js'
import { isPromise, type Maybe, patience, withDeadline } from './maybe.js'
import type { ReplayStore } from './options.js'
import { doorOf } from './stores/memory-replay.js'

/**
 * Uses something up: `ifKnown` where that was done before. An id is unique among those of its owner, a digest; `ttl`
 * is in seconds.
 */
export type UseOnce = (
  owner: string,
  id: string,
  ttl: number,
  ifKnown: DenialCode,
) => Maybe<DenialCode | undefined>

export function createUseOnce(store: ReplayStore): UseOnce {
  const door = doorOf(store)
  return (owner, id, ttl, ifKnown) => {
    // A second more than it could be used again: the store looks at the clock later than whoever reckoned this, and
    // at the very end some stores would keep nothing at all. Always the same second, or the end would not be fixed.
    const seconds = ttl + 1
    try {
      if (door !== undefined && door.remember === store.remember) {
        return door.rememberId(owner, id, seconds) ? undefined : ifKnown
      }
      const isNew: unknown = store.remember(`${owner}.${sha256(id)}`, seconds)
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
