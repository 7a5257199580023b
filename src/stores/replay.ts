import { isPromiseLike, type MaybePromise, STORE_TIMEOUT_SECONDS, withDeadline } from '../lib/promise.js'
import { describeError, Refusal } from '../refusal.js'
import { type ReplayKind, replayKey, type TakesLongestTtl, takesLongestTtl } from './replay-key.js'
import type { ReplayStore } from './store.js'

/** A proof or token that a request has consumed, with the result. */
export interface Consumed {
  readonly store: ReplayStore
  readonly key: string
  readonly answer: MaybePromise<Refusal | undefined>
}

/** A proof or token to consume. */
export interface SingleUse {
  readonly kind: ReplayKind
  /** Digest of the owner. Ids are unique for each owner. */
  readonly owner: string
  readonly id: string
  /** Seconds for which the verifier would accept a replay. */
  readonly ttl: number
  /** The `ttl` when the proof or token became valid, in seconds. */
  readonly longestTtl: number
}

/**
 * Consumes a proof or a single-use token, or refuses one that was consumed before. A second verifier of the
 * same request gets the first result from `consumed`, because the request is no replay of itself.
 */
export type ConsumeOnce = (
  item: SingleUse,
  consumed: Consumed[] | undefined,
) => MaybePromise<Refusal | undefined>

export function createConsumeOnce(store: ReplayStore): ConsumeOnce {
  function remember(
    kind: ReplayKind,
    key: string,
    ttl: number,
    longestTtl: number,
  ): MaybePromise<Refusal | undefined> {
    try {
      const isNew: unknown = needsLongestTtl(store)
        ? store.remember(key, ttl, longestTtl)
        : store.remember(key, ttl)
      if (!isPromiseLike(isNew)) return toRefusal(isNew, kind)
      return withDeadline(isNew, STORE_TIMEOUT_SECONDS).then((result) => toRefusal(result, kind), unavailable)
    } catch (error) {
      return unavailable(error)
    }
  }

  return ({ kind, owner, id, ttl, longestTtl }, consumed) => {
    const key = replayKey(kind, owner, id)
    const earlier = consumed?.find((item) => item.store === store && item.key === key)
    if (earlier !== undefined) return earlier.answer
    // One second more: the store reads the clock later, and some stores round a short ttl down to 0.
    // A constant, so that the expiry of an entry stays the same.
    const answer = remember(kind, key, ttl + 1, longestTtl + 1)
    consumed?.push({ store, key, answer })
    return answer
  }
}

function needsLongestTtl(store: ReplayStore): store is ReplayStore & TakesLongestTtl {
  return takesLongestTtl in store && store[takesLongestTtl] === true
}

/** Accepts booleans only. A truthy value such as "OK" for a known key would allow replays. */
function toRefusal(isNew: unknown, kind: ReplayKind): Refusal | undefined {
  if (typeof isNew !== 'boolean') {
    return unavailable(new TypeError('remember() of the replay store must return a boolean'))
  }
  if (isNew) return undefined
  return new Refusal(kind === 'proof' ? 'proof_replayed' : 'token_reused')
}

function unavailable(error: unknown): Refusal {
  return new Refusal('replay_store_unavailable', { reason: describeError(error) })
}
