import { withDeadline } from '../../lib/promise.js'
import { kindOf, type TakesLongestTtl, takesLongestTtl } from '../replay-key.js'
import { type RedisClient, redisAdapter } from './client.js'
import { watchMemory } from './memory.js'

/** As in the memory store: a ttl beyond any token's life is a mistake. */
const LONGEST_TTL = 31 * 24 * 3600
/** Seconds by which the verifier may have read the clock before the store does. */
const READING_SLACK = 0.1
/** Calls that wait for Redis, late ones included: while it hangs, memory must not grow without end. */
const MAX_WAITING = 10_000

/** A replay store in Redis; see {@link redisReplayStore}. */
export interface RedisReplayStore extends TakesLongestTtl {
  /** `longestTtl` is the ttl that the key had at the first moment at which it could be used, in seconds. */
  remember(key: string, ttl: number, longestTtl?: number): Promise<boolean>
  /** Resolves when Redis answers; rejects where it does not within the deadline. */
  ready(): Promise<void>
}

/**
 * Remembers proofs in Redis or Valkey, for all processes that share it: one `SET key 1 NX PX ttl` per proof.
 * Rejects, so that the request is answered 503, where no clear answer comes within `timeout` seconds: Redis is
 * away, slow or read-only, or the connection changed meanwhile. It recovers with the client's own reconnection.
 *
 * A server that started, or took another one's place, may have lost its memory: what could have been accepted before that
 * is rejected. A proof passes once its `iat` is later than that moment by more than the clock tolerance, so requests fail
 * for some seconds after each start. What is noticed of such a loss, and what is not, stands at `watchMemory`.
 *
 * A verifier tells the store when a key could first have been used. A wrapper around the store hides that: then a key is
 * taken to be as old as its ttl is shorter than the longest one of its kind so far. Hand the store itself to the verifier.
 */
export function redisReplayStore(
  client: RedisClient,
  { prefix = 'ajwt:replay:', timeout = 0.25 }: { prefix?: string; timeout?: number } = {},
): RedisReplayStore {
  if (!(timeout > 0 && timeout <= 60)) {
    throw new TypeError('redisReplayStore: timeout must be a number of seconds, at most 60')
  }
  const redis = redisAdapter(client)
  const memory = watchMemory(redis, prefix)
  let waiting = 0
  /** So far, by kind: single-use tokens live longer than proofs, and must not hold them up. */
  const longestTtls = { proof: 0, token: 0 }

  async function remember(key: string, ttl: number, longestTtl?: number): Promise<boolean> {
    if (!(ttl > 0 && ttl <= LONGEST_TTL)) return false
    if (waiting >= MAX_WAITING) throw new Error('redisReplayStore: too many calls wait for Redis')
    const usableFrom = Date.now() / 1000 + ttl - (longestTtl ?? learn(key, ttl)) - READING_SLACK
    const lateAt = performance.now() + timeout * 1000
    waiting += 1
    const asked = ask(key, ttl, usableFrom, lateAt).finally(() => {
      waiting -= 1
    })
    return withDeadline(asked, timeout, late)
  }

  async function ask(key: string, ttl: number, usableFrom: number, lateAt: number): Promise<boolean> {
    // Nothing is sent before the server is known, so nothing piles up in the client's queue while it is away,
    // and nothing is sent for a request that was answered meanwhile.
    if (!memory.isIdentified) await memory.identify()
    if (performance.now() >= lateAt) throw late()
    if (usableFrom <= memory.since) {
      const wait = Math.ceil(memory.since - usableFrom)
      throw new Error(
        `redisReplayStore: Redis started or was replaced, and may have known this proof or token before; one made ${wait} s later would pass`,
      )
    }
    const asked = memory.connection
    // The entry outlives the proof by the deadline: a replay sent at the last moment may reach Redis that much later.
    const milliseconds = Math.ceil((ttl + timeout) * 1000)
    const reply = await redis
      .command('SET', prefix + key, '1', 'NX', 'PX', String(milliseconds))
      .catch(onRefusal)
    // Clients send again, over a new connection, what was under way on the old one: that answer tells nothing.
    if (asked !== memory.connection) {
      throw new Error('redisReplayStore: the connection changed before the answer')
    }
    if (reply === 'OK') return true
    if (reply === null) return false
    throw new Error('redisReplayStore: unexpected reply to SET')
  }

  /** A master that was made a replica may be made a master again on this very connection, with less than it knew. */
  function onRefusal(error: unknown): never {
    if (error instanceof Error && error.message.startsWith('READONLY')) memory.doubt()
    throw error
  }

  /** The ttl that a key had at first, as far as can be told without its verifier. */
  function learn(key: string, ttl: number): number {
    const kind = kindOf(key)
    if (kind === undefined) return ttl
    longestTtls[kind] = Math.max(longestTtls[kind], ttl)
    return longestTtls[kind]
  }

  function late(): Error {
    return new Error(`redisReplayStore: no answer from Redis within ${timeout} s`)
  }

  return {
    remember,
    ready: () => withDeadline(memory.identify(), timeout, late),
    [takesLongestTtl]: true,
  }
}
