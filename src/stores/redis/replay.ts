import { sha256 } from '#runtime'
import { withDeadline } from '../../lib/promise.js'
import { kindOf, type TakesLongestTtl, takesLongestTtl } from '../replay-key.js'
import { createBatcher } from './batch.js'
import { type RedisClient, redisAdapter } from './client.js'
import { createScript } from './script.js'
import { trackServerHistory } from './server-history.js'

/** Seconds. No token lives longer, so a longer ttl is a mistake. */
const MAX_TTL = 31 * 24 * 3600
/** Seconds. The store reads the clock after the verifier. */
const CLOCK_SLACK = 0.1
/** The maximum number of unanswered calls. Bounds the memory while Redis does not respond. */
const MAX_PENDING = 10_000

/**
 * 132 bits of a SHA-256 digest. A proof whose characters collide with those of another is denied, never
 * accepted, and such a pair takes 2^66 hashes. Up to 30 characters with the prefix, Redis needs 117 bytes.
 */
const KEY_CHARACTERS = 22

/** Sets each key, with its milliseconds in `ARGV`, and returns the replies. */
const setAllScript = `
local replies = {}
for i, key in ipairs(KEYS) do replies[i] = redis.call('SET', key, '1', 'NX', 'PX', ARGV[i]) end
return replies
`

/** A key in Redis, and for how long Redis keeps it. */
interface Entry {
  readonly key: string
  readonly milliseconds: string
}

/** A replay store in Redis, made by {@link redisReplayStore}. */
export interface RedisReplayStore extends TakesLongestTtl {
  /** `longestTtl` is the ttl that the key had when it became valid, in seconds. */
  remember(key: string, ttl: number, longestTtl?: number): Promise<boolean>
  /** Resolves when Redis responds. Rejects if it does not respond within `timeout`. */
  ready(): Promise<void>
}

/**
 * A replay store in Redis or Valkey, for all processes of an API. Sends one `SET key 1 NX PX ttl` for each
 * proof. Proofs that arrive in one turn of the event loop, while four are pending, share one script.
 * `remember` rejects if Redis gives no clear reply within `timeout` seconds: it is down, slow or read-only,
 * or the connection changed meanwhile. The request is then denied with 503. The store works again once the
 * client has reconnected.
 *
 * A server that was restarted or replaced may have lost entries, so the store rejects proofs that could have
 * been used before. A proof is accepted if its `iat` is later than that time by more than the clock
 * tolerance. Requests therefore fail for some seconds after each start of Redis. `trackServerHistory` lists
 * the losses that are noticed.
 *
 * Pass the store itself to the verifier, not a wrapper around it. The verifier gives the store the time at
 * which a key became valid. Without it, the store estimates this time from the longest ttl of that kind of
 * key.
 */
export function redisReplayStore(
  client: RedisClient,
  { prefix = 'ajwt:r:', timeout = 0.25 }: { prefix?: string; timeout?: number } = {},
): RedisReplayStore {
  if (!(timeout > 0 && timeout <= 60)) {
    throw new TypeError('redisReplayStore: timeout must be a number of seconds, at most 60')
  }
  const redis = redisAdapter(client)
  const history = trackServerHistory(redis, prefix)
  const runSetAll = createScript(redis.command, setAllScript)
  let mayRunScripts = true
  const batcher = createBatcher({ one: setOne, many: setAll }, timeout, timeoutError)
  /** Calls that wait until the server is identified. */
  let waiting = 0
  /** The longest ttl so far. By kind, because single-use tokens live longer than proofs. */
  const longestTtls = { proof: 0, token: 0 }

  function remember(key: string, ttl: number, longestTtl?: number): Promise<boolean> {
    if (!(ttl > 0 && ttl <= MAX_TTL)) return Promise.resolve(false)
    if (waiting + batcher.pending >= MAX_PENDING) {
      return Promise.reject(
        new Error(`redisReplayStore: ${MAX_PENDING} calls are pending. Check that Redis responds`),
      )
    }
    const validFrom = Date.now() / 1000 + ttl - (longestTtl ?? estimateLongestTtl(key, ttl)) - CLOCK_SLACK
    const deadline = performance.now() + timeout * 1000
    // Sends nothing before the server is identified, so that the client's queue does not grow while Redis is
    // down.
    if (history.isIdentified) return setKey(key, ttl, validFrom, deadline)
    waiting += 1
    const identified = history.identify().finally(() => {
      waiting -= 1
    })
    return withDeadline(
      identified.then(() => setKey(key, ttl, validFrom, deadline)),
      timeout,
      timeoutError,
    )
  }

  async function setKey(key: string, ttl: number, validFrom: number, deadline: number): Promise<boolean> {
    if (performance.now() >= deadline) throw timeoutError()
    if (validFrom <= history.completeSince) {
      const wait = Math.ceil(history.completeSince - validFrom)
      throw new Error(
        'redisReplayStore: Redis was started or replaced and may have lost this proof or token. ' +
          `One that is issued ${wait} s later is accepted`,
      )
    }
    const connection = history.connection
    // Longer than the proof is valid by the timeout, because a replay may reach Redis that much later.
    const milliseconds = Math.ceil((ttl + timeout) * 1000)
    const entry = { key: prefix + sha256(key).slice(0, KEY_CHARACTERS), milliseconds: String(milliseconds) }
    const reply = await batcher.send(entry).catch(onCommandError)
    // After a reconnect, clients send pending commands again: the reply may then be to the second attempt.
    if (connection !== history.connection) throw connectionChanged()
    if (reply === 'OK') return true
    if (reply === null) return false
    throw new Error('redisReplayStore: unexpected reply to SET')
  }

  function setOne({ key, milliseconds }: Entry): Promise<unknown> {
    return redis.command('SET', key, '1', 'NX', 'PX', milliseconds)
  }

  async function setAll(entries: readonly Entry[]): Promise<unknown> {
    // A client without a connection would queue the command, and send it later.
    if (!history.isIdentified) throw connectionChanged()
    if (!mayRunScripts) return Promise.all(entries.map(setOne))
    const keys = entries.map(({ key }) => key)
    const times = entries.map(({ milliseconds }) => milliseconds)
    try {
      return await runSetAll(keys, times)
    } catch (error) {
      if (!isRefusedScript(error)) throw error
      mayRunScripts = false
      return setAll(entries)
    }
  }

  /**
   * A server that became a replica may become a master again on the same connection, and may have lost
   * entries.
   */
  function onCommandError(error: unknown): never {
    // Redis 6 reports an error inside of a script in the middle of the message.
    if (error instanceof Error && error.message.includes('READONLY')) history.invalidate()
    throw error
  }

  function connectionChanged(): Error {
    return new Error('redisReplayStore: the connection changed before the reply')
  }

  /** For callers that do not pass `longestTtl`: the longest ttl of this kind of key so far. */
  function estimateLongestTtl(key: string, ttl: number): number {
    const kind = kindOf(key)
    if (kind === undefined) return ttl
    longestTtls[kind] = Math.max(longestTtls[kind], ttl)
    return longestTtls[kind]
  }

  function timeoutError(): Error {
    return new Error(`redisReplayStore: no answer from Redis within ${timeout} s`)
  }

  return {
    remember,
    ready: () => withDeadline(history.identify(), timeout, timeoutError),
    [takesLongestTtl]: true,
  }
}

/** Whether the user may not run scripts. */
function isRefusedScript(error: unknown): boolean {
  return error instanceof Error && /^(?:NOPERM|ERR unknown command)/.test(error.message)
}
