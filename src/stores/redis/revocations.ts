import { setTimeout as pause } from 'node:timers/promises'
import { deadline } from '../../lib/deadline.js'
import { checkRevocation, revocationList } from '../revocation-list.js'
import { type DedicatedConnection, type RedisClient, redisAdapter } from './client.js'
import { serverInfo } from './server-info.js'

/** Seconds for one exchange with Redis, beyond what a blocking read may wait. */
const ANSWER = 2
const FIRST_ANSWER = 0.25
const MAX_BACKOFF = 1
const PAGE = '1000'
const LOG_LENGTH = 10_000
/** Seconds for which Redis keeps what has expired: the clocks of those who revoke may differ. */
const KEPT_EXPIRED = 3600

/** A revocation list in Redis; see {@link redisRevocations}. */
export interface RedisRevocations {
  isRevoked(ids: readonly string[]): boolean | Promise<boolean>
  revoke(id: string, until: number): Promise<void>
  ready(): Promise<void>
  close(): Promise<void>
}

// KEYS: the list, the log. ARGV: id, until, the time up to which entries have expired. The log's ids count up by one
// and carry the second in which that log was begun, so a gap and a server that began anew both show.
const REVOKE = `
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[3])
if redis.call('ZADD', KEYS[1], 'GT', 'CH', ARGV[2], ARGV[1]) == 1 then
  local number, begun = 0, redis.call('TIME')[1]
  local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
  if last then number, begun = string.match(last[1], '^(%d+)-(%d+)$') end
  local id = string.format('%d-%s', tonumber(number) + 1, begun)
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ${LOG_LENGTH}, id, 'id', ARGV[1], 'until', ARGV[2])
end
return 'OK'`

/**
 * The revocation list of a fleet, kept in Redis 6.2 or later (or Valkey) and pushed to every process: `isRevoked`
 * asks no network. Over a connection of its own it loads the whole list, follows its log with blocking reads, which
 * are the heartbeat as well, and loads it anew whenever that connection was lost.
 *
 * Cut off from Redis it answers from what it knows for `maxStale` seconds, then throws, so that the request is
 * answered 503. `revoke(id, until)` (until in seconds since the epoch, at least the `exp` of the last token in
 * question plus the clock tolerance) resolves when Redis has it. `ready()` resolves when the list is loaded and
 * followed; it rejects where that takes longer than `maxStale`. `close()` ends the connection.
 */
export function redisRevocations(
  client: RedisClient,
  { prefix = 'ajwt:revoked:', maxStale = 30 }: { prefix?: string; maxStale?: number } = {},
): RedisRevocations {
  if (!(maxStale > 0 && maxStale < Number.POSITIVE_INFINITY)) {
    throw new TypeError('redisRevocations: maxStale must be a number of seconds')
  }
  const redis = redisAdapter(client)
  const list = revocationList()
  // One slot, should the server be part of a cluster: the script touches both.
  const listKey = `{${prefix}}list`
  const logKey = `{${prefix}}log`
  const heartbeat = Math.min(1, maxStale / 4)
  const closing = new AbortController()
  let loaded = false
  /** The moment, in seconds of the monotonic clock, as of which the list was whole. */
  let wholeAt = Number.NEGATIVE_INFINITY
  let failure: unknown
  let waiting: (() => void)[] = []
  const followed = follow()

  function isRevoked(ids: readonly string[]): boolean | Promise<boolean> {
    if (list.isRevoked(ids)) return true
    if (isCurrent()) return false
    if (loaded || closing.signal.aborted) throw stale()
    // A request that comes before the first load is worth a moment's wait.
    return deadline(nextLoad(), Math.min(FIRST_ANSWER, maxStale), stale).then(() => list.isRevoked(ids))
  }

  function isCurrent(): boolean {
    return performance.now() / 1000 - wholeAt <= maxStale
  }

  function stale(): Error {
    return new Error(`redisRevocations: the list could not be kept current for ${maxStale} s`, {
      cause: failure,
    })
  }

  function nextLoad(): Promise<void> {
    return new Promise((resolve) => waiting.push(resolve))
  }

  async function revoke(id: string, until: number): Promise<void> {
    checkRevocation('redisRevocations', id, until)
    await write(redis.command, id, until)
    list.add(id, until)
  }

  async function write(command: DedicatedConnection['command'], id: string, until: number): Promise<void> {
    const expired = Date.now() / 1000 - KEPT_EXPIRED
    const reply = await answer(
      command('EVAL', REVOKE, '2', listKey, logKey, id, String(until), String(expired)),
    )
    if (reply !== 'OK') throw new Error('redisRevocations: unexpected reply to a revocation')
  }

  /** Connects, loads, follows; and again when any of it fails. Ends with `close()`. */
  async function follow(): Promise<void> {
    let backoff = 0.05
    while (!closing.signal.aborted) {
      const connection = redis.dedicated()
      const abort = () => connection.destroy()
      closing.signal.addEventListener('abort', abort)
      try {
        await answer(connection.connect())
        let position = await load(connection)
        backoff = 0.05
        while (!closing.signal.aborted) position = await next(connection, position)
      } catch (error) {
        failure = error
      } finally {
        closing.signal.removeEventListener('abort', abort)
        connection.destroy()
      }
      // Jitter, so that a fleet does not come back to a restarted Redis all at once.
      await pause(backoff * (0.5 + Math.random()) * 1000, undefined, { signal: closing.signal }).catch(
        () => {},
      )
      backoff = Math.min(2 * backoff, MAX_BACKOFF)
    }
  }

  /** Reads the whole list. The log's end is read before it, so what changes meanwhile comes with the log. */
  async function load(connection: DedicatedConnection): Promise<string> {
    const { role } = await answer(serverInfo(connection.command))
    if (role !== undefined && role !== 'master') throw new Error(`redisRevocations: the server is a ${role}`)
    const asked = performance.now() / 1000
    const position = await logEnd(connection)
    const known = new Set<string>()
    let cursor = '0'
    do {
      const reply = await answer(connection.command('ZSCAN', listKey, cursor, 'COUNT', PAGE))
      const [next, pairs] = reply as [string, string[]]
      for (let at = 0; at < pairs.length; at += 2) {
        const id = pairs[at] as string
        list.add(id, Number(pairs[at + 1]))
        known.add(id)
      }
      cursor = next
    } while (cursor !== '0')
    // A replica that was promoted before it had the last revocations learns them from whoever saw them.
    for (const [id, until] of list.current()) {
      if (!known.has(id)) await write(connection.command, id, until)
    }
    loaded = true
    markWhole(asked)
    return position
  }

  /** Waits for changes after `position`, at most a heartbeat long. */
  async function next(connection: DedicatedConnection, position: string): Promise<string> {
    const asked = performance.now() / 1000
    const block = String(Math.ceil(heartbeat * 1000))
    const read = connection.command('XREAD', 'COUNT', PAGE, 'BLOCK', block, 'STREAMS', logKey, position)
    const entries = streamEntries(await answer(read, heartbeat))
    let at = position
    for (const [entry, fields] of entries) {
      if (!follows(entry, at)) throw new Error('redisRevocations: the log has a gap')
      list.add(fields[1] as string, Number(fields[3]))
      at = entry
    }
    // An emptied server begins its log anew, below where we wait: without this look we would wait for ever.
    if (entries.length === 0 && isBehind(await logEnd(connection), at)) {
      throw new Error('redisRevocations: the log was begun anew')
    }
    if (entries.length < Number(PAGE)) markWhole(asked)
    return at
  }

  async function logEnd(connection: DedicatedConnection): Promise<string> {
    const reply = await answer(connection.command('XREVRANGE', logKey, '+', '-', 'COUNT', '1'))
    const [last] = reply as [string, string[]][]
    return last?.[0] ?? '0-0'
  }

  /** The list holds everything up to when the last question was sent, which is sooner than its answer came. */
  function markWhole(asked: number): void {
    wholeAt = asked
    for (const resolve of waiting) resolve()
    waiting = []
  }

  function answer<T>(work: Promise<T>, blocking = 0): Promise<T> {
    return deadline(work, blocking + ANSWER, () => new Error('redisRevocations: no answer from Redis'))
  }

  return {
    isRevoked,
    revoke,
    ready: async () => {
      if (!loaded || !isCurrent()) await deadline(nextLoad(), maxStale, stale)
    },
    close: async () => {
      closing.abort()
      await followed
    },
  }
}

type StreamEntry = [id: string, fields: string[]]

/** The entries of the one stream that was read, as RESP2 or RESP3 and either client give them. */
function streamEntries(reply: unknown): StreamEntry[] {
  if (reply === null) return []
  if (reply instanceof Map) return [...reply.values()][0]
  if (!Array.isArray(reply)) return Object.values(reply as object)[0]
  return Array.isArray(reply[0]) ? reply[0][1] : reply[1]
}

function follows(entry: string, before: string): boolean {
  const [number, begun] = parts(entry)
  const [numberBefore, begunBefore] = parts(before)
  return number === numberBefore + 1 && (numberBefore === 0 || begun === begunBefore)
}

function isBehind(end: string, position: string): boolean {
  const [number, begun] = parts(end)
  const [ours, oursBegun] = parts(position)
  return number < ours || (ours > 0 && begun !== oursBegun)
}

function parts(entry: string): [number: number, begun: number] {
  const [number, begun] = entry.split('-').map(Number)
  return [number as number, begun as number]
}
