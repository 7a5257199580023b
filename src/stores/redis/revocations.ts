import { setTimeout as sleep } from 'node:timers/promises'
import { withDeadline } from '../../lib/promise.js'
import { checkId, checkRevocation, type Revocation, revocationList } from '../revocation-list.js'
import { type DedicatedConnection, type RedisClient, redisAdapter, type SendCommand } from './client.js'
import { serverInfo } from './server-info.js'

/** Seconds to wait for a reply, in addition to the time that a blocking read waits. */
const REPLY_TIMEOUT = 2
/** Seconds that a request waits for the first load of the list. */
const FIRST_LOAD_TIMEOUT = 0.25
const MAX_BACKOFF = 1
const PAGE = '1000'
const LOG_LENGTH = 10_000
/** Seconds for which Redis keeps expired entries, because the clocks of the processes may differ. */
const EXPIRED_RETENTION = 3600

/** A revocation list in Redis, made by {@link redisRevocations}. */
export interface RedisRevocations {
  isRevoked(ids: readonly string[]): boolean | Promise<boolean>
  revoke(id: string, until: number): Promise<void>
  /**
   * Ends a revocation in all processes. Tokens with this id are accepted again. Resolves when Redis has the
   * change.
   */
  unrevoke(id: string): Promise<void>
  /** The revocations that have not expired. Rejects if the list of this process is out of date. */
  list(): Promise<Revocation[]>
  /** Calls `listener` with each id that any process revokes. Returns a function that ends the calls. */
  onRevoked(listener: (id: string) => void): () => void
  ready(): Promise<void>
  close(): Promise<void>
}

/**
 * KEYS: the list, the log, the unrevoked ids.
 *
 * ARGV: the id; until when (0 ends the revocation); the time before which entries have expired; `at` of a
 * restored revocation, '+inf' for a new one; until when the caller knows it as revoked.
 *
 * Returns {until, at}. `at` is the server's time in microseconds, always increasing. Ids of the log are
 * `<number>-<second in which the log was started>`: the number increases by one, so that gaps are noticed.
 */
const CHANGE = `
local id, till, expired, known, knownTill = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. expired)
local unrevoked = tonumber(redis.call('ZSCORE', KEYS[3], id) or 0)
if known ~= '+inf' and unrevoked >= tonumber(known) then return {'0', string.format('%.0f', unrevoked)} end
local time = redis.call('TIME')
local number, start, at = 0, time[1], 0
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if last then
  number, start = string.match(last[1], '^(%d+)-(%d+)$')
  at = tonumber(last[2][6]) or 0
end
local nextAt = string.format('%.0f', math.max(at + 1, unrevoked + 1, time[1] * 1000000 + time[2]))
if till == '0' then
  local listed = tonumber(redis.call('ZSCORE', KEYS[1], id) or 0)
  local kept = math.max(listed, tonumber(knownTill), tonumber(expired))
  redis.call('ZREM', KEYS[1], id)
  redis.call('ZADD', KEYS[3], nextAt, id)
  local left = math.ceil(kept - time[1]) + ${2 * EXPIRED_RETENTION}
  if redis.call('TTL', KEYS[3]) < left then redis.call('EXPIRE', KEYS[3], string.format('%.0f', left)) end
elseif redis.call('ZADD', KEYS[1], 'GT', 'CH', till, id) == 0 then
  return {redis.call('ZSCORE', KEYS[1], id), string.format('%.0f', at)}
else
  till = redis.call('ZSCORE', KEYS[1], id)
end
local entry = string.format('%d-%s', tonumber(number) + 1, start)
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ${LOG_LENGTH}, entry, 'id', id, 'until', till, 'at', nextAt)
return {till, nextAt}`

/**
 * A revocation list for all processes of an API, in Redis 6.2 or later, or Valkey. Each process has the whole
 * list in memory, so `isRevoked` sends nothing. A separate connection loads the list, follows its log with
 * blocking reads, and loads the list again after each disconnect.
 *
 * Without a connection, the list is used for `maxStale` seconds. After that `isRevoked` throws, and requests
 * are denied with 503. `revoke(id, until)` takes seconds since the epoch: use at least the `exp` of the last
 * such token plus the clock tolerance. `revoke` and `unrevoke` resolve when Redis has the change. `ready()`
 * resolves when the list is loaded, and rejects if that takes longer than `maxStale`. `close()` closes the
 * connection.
 */
export function redisRevocations(
  client: RedisClient,
  { prefix = 'ajwt:revoked:', maxStale = 30 }: { prefix?: string; maxStale?: number } = {},
): RedisRevocations {
  if (!(maxStale > 0 && maxStale < Number.POSITIVE_INFINITY)) {
    throw new TypeError('redisRevocations: maxStale must be a number of seconds greater than 0')
  }
  const redis = redisAdapter(client)
  const list = revocationList()
  // Braces put the keys in one hash slot, because one script uses all of them.
  const listKey = `{${prefix}}list`
  const logKey = `{${prefix}}log`
  const unrevokedKey = `{${prefix}}unrevoked`
  const heartbeat = Math.min(1, maxStale / 4)
  const closing = new AbortController()
  let loaded = false
  /** The last time at which the list was complete, in seconds of the monotonic clock. */
  let completeAt = Number.NEGATIVE_INFINITY
  /** `at` of the last applied log entry. */
  let logAt = 0
  let lastError: unknown
  let loadListeners: (() => void)[] = []
  const stopped = synchronize()

  function isRevoked(ids: readonly string[]): boolean | Promise<boolean> {
    if (list.isRevoked(ids)) return true
    if (isCurrent()) return false
    if (loaded || closing.signal.aborted) throw staleError()
    // Requests right after the start wait for the first load.
    return withDeadline(nextLoad(), Math.min(FIRST_LOAD_TIMEOUT, maxStale), staleError).then(() =>
      list.isRevoked(ids),
    )
  }

  function isCurrent(): boolean {
    return performance.now() / 1000 - completeAt <= maxStale
  }

  function staleError(): Error {
    return new Error(
      `redisRevocations: the list is out of date by more than ${maxStale} s. Check the connection to Redis`,
      { cause: lastError },
    )
  }

  function nextLoad(): Promise<void> {
    return new Promise((resolve) => loadListeners.push(resolve))
  }

  async function revoke(id: string, until: number): Promise<void> {
    checkRevocation('redisRevocations', id, until)
    await change(redis.command, id, until)
  }

  async function unrevoke(id: string): Promise<void> {
    checkId('redisRevocations', id)
    await change(redis.command, id, 0)
  }

  /**
   * Revokes an id, or with `until` 0 ends its revocation. With `knownAt`, restores a revocation that Redis
   * lost.
   */
  async function change(
    command: SendCommand,
    id: string,
    until: number,
    knownAt: number | undefined = undefined,
  ): Promise<void> {
    const expired = Date.now() / 1000 - EXPIRED_RETENTION
    const known = knownAt === undefined ? '+inf' : String(knownAt)
    const values = [id, String(until), String(expired), known, String(list.get(id)?.until ?? 0)]
    const reply = await withReplyTimeout(
      command('EVAL', CHANGE, '3', listKey, logKey, unrevokedKey, ...values),
    )
    const [newUntil, at] = Array.isArray(reply) ? reply.map(Number) : []
    if (newUntil === undefined || at === undefined || !(newUntil >= 0 && at >= 0)) throw unexpected('EVAL')
    // If the log is already past this change, a later change of the id may have been applied.
    if (at > logAt || knownAt !== undefined) list.apply(id, newUntil, at)
  }

  /** Loads the list and follows its log. Starts again after each failure, until `close()`. */
  async function synchronize(): Promise<void> {
    let backoff = 0.05
    while (!closing.signal.aborted) {
      const connection = redis.dedicated()
      const abort = () => connection.destroy()
      closing.signal.addEventListener('abort', abort)
      try {
        await withReplyTimeout(connection.connect())
        let position = await load(connection)
        backoff = 0.05
        while (!closing.signal.aborted) position = await readLog(connection, position)
      } catch (error) {
        lastError = error
      } finally {
        closing.signal.removeEventListener('abort', abort)
        connection.destroy()
      }
      // Jitter, so that not all processes reconnect to a restarted Redis at once.
      await sleep(backoff * (0.5 + Math.random()) * 1000, undefined, { signal: closing.signal }).catch(
        () => {},
      )
      backoff = Math.min(2 * backoff, MAX_BACKOFF)
    }
  }

  /** Loads the list. Reads the end of the log first, so that later changes are read from the log. */
  async function load(connection: DedicatedConnection): Promise<string> {
    const { role } = await withReplyTimeout(serverInfo(connection.command))
    if (role !== undefined && role !== 'master') {
      throw new Error(`redisRevocations: the server is a ${role}, which may be behind. Connect to the master`)
    }
    const startedAt = performance.now() / 1000
    const [position, at] = await logEnd(connection)
    const listed = await readScores(connection, listKey)
    // Read after the list, so that an id that is unrevoked meanwhile does not look lost.
    const unrevoked = await readScores(connection, unrevokedKey)
    const lost = applyList(listed, unrevoked, at)
    // A promoted replica may lack the last revocations. Every process that knows them restores them.
    for (const { id, until } of lost) await change(connection.command, id, until, list.get(id)?.at ?? 0)
    loaded = true
    logAt = at
    setComplete(startedAt)
    return position
  }

  /** Applies a loaded list. Returns the known revocations that are neither in the list nor unrevoked. */
  function applyList(
    listed: ReadonlyMap<string, number>,
    unrevoked: ReadonlyMap<string, number>,
    at: number,
  ): Revocation[] {
    const lost: Revocation[] = []
    for (const { id, until } of list.current()) {
      const knownAt = list.get(id)?.at ?? 0
      const unrevokedAt = unrevoked.get(id)
      if (unrevokedAt !== undefined && unrevokedAt >= knownAt) list.apply(id, 0, unrevokedAt)
      else if (until > (listed.get(id) ?? 0)) lost.push({ id, until })
    }
    for (const [id, until] of listed) list.apply(id, until, Math.max(at, unrevoked.get(id) ?? 0))
    return lost
  }

  /** The members of a sorted set with their scores. */
  async function readScores(connection: DedicatedConnection, key: string): Promise<Map<string, number>> {
    const scores = new Map<string, number>()
    let cursor = '0'
    do {
      const reply = await withReplyTimeout(connection.command('ZSCAN', key, cursor, 'COUNT', PAGE))
      const [next, pairs] = Array.isArray(reply) ? reply : []
      for (const [member, score] of parseScores(pairs)) scores.set(member, score)
      cursor = String(next)
    } while (cursor !== '0')
    return scores
  }

  /** Waits for log entries after `position`, at most for one heartbeat. Returns the new position. */
  async function readLog(connection: DedicatedConnection, position: string): Promise<string> {
    const startedAt = performance.now() / 1000
    const block = String(Math.ceil(heartbeat * 1000))
    const read = connection.command('XREAD', 'COUNT', PAGE, 'BLOCK', block, 'STREAMS', logKey, position)
    const entries = streamEntries(await withReplyTimeout(read, heartbeat))
    let end = position
    for (const reply of entries) {
      const { entry, id, until, at } = parseLogEntry(reply)
      if (!isNext(entry, end)) throw new Error('redisRevocations: the log has a gap')
      list.apply(id, until, at)
      logAt = at
      end = entry
    }
    // An emptied server starts a new log with lower numbers, and this process would wait for ever.
    if (entries.length === 0 && isBehind((await logEnd(connection))[0], end)) {
      throw new Error('redisRevocations: Redis has a new log')
    }
    if (entries.length < Number(PAGE)) setComplete(startedAt)
    return end
  }

  async function logEnd(connection: DedicatedConnection): Promise<[entry: string, at: number]> {
    const reply = await withReplyTimeout(connection.command('XREVRANGE', logKey, '+', '-', 'COUNT', '1'))
    if (!Array.isArray(reply)) throw unexpected('XREVRANGE')
    if (reply.length === 0) return ['0-0', 0]
    const { entry, at } = parseLogEntry(reply[0])
    return [entry, at]
  }

  /** The list has all changes up to `startedAt`, the time before the command was sent. */
  function setComplete(startedAt: number): void {
    completeAt = startedAt
    for (const resolve of loadListeners) resolve()
    loadListeners = []
  }

  function withReplyTimeout<T>(reply: Promise<T>, blockedFor = 0): Promise<T> {
    const seconds = blockedFor + REPLY_TIMEOUT
    return withDeadline(
      reply,
      seconds,
      () => new Error(`redisRevocations: no answer from Redis within ${seconds} s`),
    )
  }

  return {
    isRevoked,
    revoke,
    unrevoke,
    async list() {
      if (!isCurrent()) {
        if (loaded || closing.signal.aborted) throw staleError()
        await withDeadline(nextLoad(), maxStale, staleError)
      }
      return list.current()
    },
    onRevoked: list.onRevoked,
    ready: async () => {
      if (!loaded || !isCurrent()) await withDeadline(nextLoad(), maxStale, staleError)
    },
    close: async () => {
      closing.abort()
      await stopped
    },
  }
}

/** The entries in a reply to XREAD for one stream, in RESP2 or RESP3. */
function streamEntries(reply: unknown): unknown[] {
  if (reply === null) return []
  const streams = reply instanceof Map ? [...reply] : reply
  if (!Array.isArray(streams)) throw unexpected('XREAD')
  const entries = Array.isArray(streams[0]) ? streams[0][1] : streams[1]
  if (!Array.isArray(entries)) throw unexpected('XREAD')
  return entries
}

/**
 * The pairs in a reply to ZSCAN. Throws for a score that is not a number, because it would end a revocation.
 */
function parseScores(pairs: unknown): [member: string, score: number][] {
  if (!Array.isArray(pairs)) throw unexpected('ZSCAN')
  const flat = pairs.flat()
  const found: [string, number][] = []
  for (let at = 0; at < flat.length; at += 2) {
    const score = Number(flat[at + 1])
    if (typeof flat[at] !== 'string' || !Number.isFinite(score)) throw unexpected('ZSCAN')
    found.push([flat[at], score])
  }
  return found
}

/** A log entry. Throws for an invalid number, because it would end a revocation or have no effect. */
function parseLogEntry(reply: unknown): { entry: string; id: string; until: number; at: number } {
  const [entry, fields] = Array.isArray(reply) ? reply : []
  const [, id, , until, , at] = Array.isArray(fields) ? fields : []
  const numbers = { until: Number(until), at: Number(at) }
  if (typeof entry !== 'string' || typeof id !== 'string' || !(numbers.until >= 0 && numbers.at >= 0)) {
    throw unexpected('XREAD')
  }
  return { entry, id, ...numbers }
}

function unexpected(command: string): Error {
  return new Error(`redisRevocations: unexpected reply to ${command}`)
}

/** Whether a log entry follows the one before it, in the same log and without a gap. */
function isNext(entry: string, before: string): boolean {
  const [number, start] = parseEntryId(entry)
  const [numberBefore, startBefore] = parseEntryId(before)
  return number === numberBefore + 1 && (numberBefore === 0 || start === startBefore)
}

/** Whether the end of the log is before `position`, or the end of another log. */
function isBehind(end: string, position: string): boolean {
  const [endNumber, endStart] = parseEntryId(end)
  const [number, start] = parseEntryId(position)
  return endNumber < number || (number > 0 && endStart !== start)
}

function parseEntryId(entry: string): [number: number, start: number] {
  const [number = Number.NaN, start = Number.NaN] = entry.split('-').map(Number)
  return [number, start]
}
