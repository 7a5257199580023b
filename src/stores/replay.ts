import { isPromiseLike, type MaybePromise, STORE_TIMEOUT_SECONDS, withDeadline } from '../lib/promise.js'
import { describeError, Refusal } from '../refusal.js'
import { type ReplayKind, replayKey, type TakesLongestTtl, takesLongestTtl } from './replay-key.js'
import type { ReplayStore } from './store.js'

/** A use that a request has made of a store, and its result. */
export interface Consumed {
  readonly store: ReplayStore
  readonly key: string
  readonly answer: MaybePromise<Refusal | undefined>
}

/** Something that can be used once. */
export interface Use {
  readonly kind: ReplayKind
  /** Digest of the owner. Ids are unique per owner. */
  readonly owner: string
  readonly id: string
  /** Seconds for which a replay would still be accepted. */
  readonly ttl: number
  /** The `ttl` at the first moment at which it could be used, in seconds. */
  readonly longestTtl: number
}

/**
 * Consumes a proof or a single-use token; refuses where it was consumed before. A second verifier or rule of the same
 * request gets the first result from `consumed`, or the request would count as a replay of itself.
 */
export type ConsumeOnce = (use: Use, consumed: Consumed[] | undefined) => MaybePromise<Refusal | undefined>

export function createConsumeOnce(store: ReplayStore): ConsumeOnce {
  const isPrecise = (store as Partial<TakesLongestTtl>)[takesLongestTtl] === true

  function remember(
    kind: ReplayKind,
    key: string,
    ttl: number,
    longestTtl: number,
  ): MaybePromise<Refusal | undefined> {
    try {
      const isNew: unknown = isPrecise
        ? (store as TakesLongestTtl).remember(key, ttl, longestTtl)
        : store.remember(key, ttl)
      if (!isPromiseLike(isNew)) return refusalOfReplay(isNew, kind)
      return withDeadline(isNew, STORE_TIMEOUT_SECONDS).then(
        (answer) => refusalOfReplay(answer, kind),
        unavailable,
      )
    } catch (error) {
      return unavailable(error)
    }
  }

  return ({ kind, owner, id, ttl, longestTtl }, consumed) => {
    const key = replayKey(kind, owner, id)
    const earlier = consumed?.find((use) => use.store === store && use.key === key)
    if (earlier !== undefined) return earlier.answer
    // One second longer: the store reads the clock later, and some stores round a short ttl down to nothing.
    // Always the same second, so that the end of an entry is fixed.
    const answer = remember(kind, key, ttl + 1, longestTtl + 1)
    consumed?.push({ store, key, answer })
    return answer
  }
}

/** Only booleans count: a store that answers "OK" for a known key would let replays in. */
function refusalOfReplay(isNew: unknown, kind: ReplayKind): Refusal | undefined {
  if (typeof isNew !== 'boolean') return unavailable(new TypeError('remember answered with no boolean'))
  if (isNew) return undefined
  return new Refusal(kind === 'proof' ? 'proof_replayed' : 'token_reused')
}

function unavailable(error: unknown): Refusal {
  return new Refusal('replay_store_unavailable', { reason: describeError(error) })
}
