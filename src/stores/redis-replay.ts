import { deadline } from './deadline.js'
import { type RedisClient, redisAdapter } from './redis-client.js'
import { type ServerInfo, serverInfo } from './redis-server-info.js'

/** As in the memory store: a ttl beyond any token's life is a mistake. */
const LONGEST_TTL = 31 * 24 * 3600
/** Calls that wait for Redis, late ones included: while it hangs, memory must not grow without end. */
const MAX_WAITING = 10_000

/** A replay store in Redis; see {@link redisReplayStore}. */
export interface RedisReplayStore {
  remember(key: string, ttl: number): Promise<boolean>
  /** Resolves when Redis answers; rejects where it does not within the deadline. */
  ready(): Promise<void>
}

/**
 * Remembers proofs in Redis or Valkey, for all processes that share it: one `SET key 1 NX PX ttl` per proof.
 * Rejects, so that the request is answered 503, where no clear answer comes within `timeout` seconds: Redis is
 * away, slow or read-only, or the connection changed meanwhile. It recovers with the client's own reconnection.
 *
 * A server that lost its memory (restarted, or a replica promoted before it had everything) is told by its run id:
 * what could have been accepted before that is rejected from then on; proofs made after it pass.
 */
export function redisReplayStore(
  client: RedisClient,
  { prefix = 'ajwt:replay:', timeout = 0.25 }: { prefix?: string; timeout?: number } = {},
): RedisReplayStore {
  if (!(timeout > 0 && timeout <= 60)) {
    throw new TypeError('redisReplayStore: timeout must be a number of seconds, at most 60')
  }
  const redis = redisAdapter(client)
  let waiting = 0
  /** Counts the connections that were lost: an answer counts only if it came over the one that was asked. */
  let connection = 0
  let identified = false
  let identifying: Promise<void> | undefined
  let runId: string | undefined
  const proofs = horizon()
  const tokens = horizon()
  redis.onLoss(() => {
    connection += 1
    identified = false
  })

  async function remember(key: string, ttl: number): Promise<boolean> {
    if (!(ttl > 0 && ttl <= LONGEST_TTL)) return false
    if (waiting >= MAX_WAITING) throw new Error('redisReplayStore: too many calls wait for Redis')
    // What belongs to no agent is a token that is good for one use: it lives longer than proofs do.
    const kind = key.includes('.') ? proofs : tokens
    kind.longest = Math.max(kind.longest, ttl)
    const expiry = Date.now() / 1000 + ttl
    const lateAt = performance.now() + timeout * 1000
    waiting += 1
    const asked = ask(key, ttl, kind, expiry, lateAt).finally(() => {
      waiting -= 1
    })
    return deadline(asked, timeout, late)
  }

  async function ask(
    key: string,
    ttl: number,
    kind: Horizon,
    expiry: number,
    lateAt: number,
  ): Promise<boolean> {
    // Nothing is sent before the server is known, so nothing piles up in the client's queue while it is away,
    // and nothing is sent for a request that was answered meanwhile.
    if (!identified) await identify()
    if (performance.now() >= lateAt) throw late()
    if (expiry <= kind.floor) throw new Error('redisReplayStore: Redis has lost what it knew of that time')
    const asked = connection
    // The entry outlives the proof by the deadline: a replay sent at the last moment may reach Redis that much later.
    const milliseconds = Math.ceil((ttl + timeout) * 1000)
    const reply = await redis.command('SET', prefix + key, '1', 'NX', 'PX', String(milliseconds))
    // Clients send again, over a new connection, what was under way on the old one: that answer tells nothing.
    if (asked !== connection) throw new Error('redisReplayStore: the connection changed before the answer')
    if (reply === 'OK') return true
    if (reply === null) return false
    throw new Error('redisReplayStore: unexpected reply to SET')
  }

  function identify(): Promise<void> {
    identifying ??= identifyServer().finally(() => {
      identifying = undefined
    })
    return identifying
  }

  async function identifyServer(): Promise<void> {
    let asked: number
    let info: ServerInfo
    do {
      asked = connection
      info = await serverInfo(redis.command)
    } while (asked !== connection)
    if (runId !== undefined && info.runId !== runId) {
      const now = Date.now() / 1000
      for (const kind of [proofs, tokens]) kind.floor = now + kind.longest
    }
    runId = info.runId ?? runId
    identified = true
  }

  function late(): Error {
    return new Error(`redisReplayStore: no answer from Redis within ${timeout} s`)
  }

  return { remember, ready: () => deadline(identify(), timeout, late) }
}

interface Horizon {
  /** The longest ttl asked for, in seconds. */
  longest: number
  /** What expires no later than this, in seconds since the epoch, may have been known to a server that is gone. */
  floor: number
}

function horizon(): Horizon {
  return { longest: 0, floor: Number.NEGATIVE_INFINITY }
}
