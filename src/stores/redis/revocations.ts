import { setTimeout as pause } from 'node:timers/promises'
import { withDeadline } from '../../lib/promise.js'
import { checkId, checkRevocation, type Revocation, revocationList } from '../revocation-list.js'
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
  /** Takes a revocation back in the whole fleet: what bears `id` passes again. Resolves when Redis has it. */
  unrevoke(id: string): Promise<void>
  /** What is revoked now, as far as this process knows. Rejects where that could not be kept current. */
  list(): Promise<Revocation[]>
  ready(): Promise<void>
  close(): Promise<void>
}

// KEYS: the list, the log, what was unrevoked. ARGV: the id, until (0: unrevoke), the time up to which entries have
// expired, and two things that the caller knows: `at` of a revocation that it gives back ('+inf' for a new one), and until
// when the id is revoked as far as it knows.
// The log's ids count up by one and carry the second in which that log was begun, so a gap and a server that began anew
// both show. `at` is the server's time in microseconds, and counts up: it orders what is done to one id.
// Answers with until and `at` as they are then.
const CHANGE = `
local id, till, expired, known, knownTill = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. expired)
local undone = tonumber(redis.call('ZSCORE', KEYS[3], id) or 0)
if known ~= '+inf' and undone >= tonumber(known) then return {'0', string.format('%.0f', undone)} end
local time = redis.call('TIME')
local number, begun, at = 0, time[1], 0
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if last then
  number, begun = string.match(last[1], '^(%d+)-(%d+)$')
  at = tonumber(last[2][6]) or 0
end
local nextAt = string.format('%.0f', math.max(at + 1, undone + 1, time[1] * 1000000 + time[2]))
if till == '0' then
  local kept = math.max(tonumber(redis.call('ZSCORE', KEYS[1], id) or 0), tonumber(knownTill), tonumber(expired))
  redis.call('ZREM', KEYS[1], id)
  redis.call('ZADD', KEYS[3], nextAt, id)
  local left = math.ceil(kept - time[1]) + ${2 * KEPT_EXPIRED}
  if redis.call('TTL', KEYS[3]) < left then redis.call('EXPIRE', KEYS[3], string.format('%.0f', left)) end
elseif redis.call('ZADD', KEYS[1], 'GT', 'CH', till, id) == 0 then
  return {redis.call('ZSCORE', KEYS[1], id), string.format('%.0f', at)}
else
  till = redis.call('ZSCORE', KEYS[1], id)
end
local entry = string.format('%d-%s', tonumber(number) + 1, begun)
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ${LOG_LENGTH}, entry, 'id', id, 'until', till, 'at', nextAt)
return {till, nextAt}`

/**
 * The revocation list of a fleet, kept in Redis 6.2 or later (or Valkey) and pushed to every process: `isRevoked`
 * asks no network. Over a connection of its own it loads the whole list, follows its log with blocking reads, which
 * are the heartbeat as well, and loads it anew whenever that connection was lost.
 *
 * Cut off from Redis it answers from what it knows for `maxStale` seconds, then throws, so that the request is
 * answered 503. `revoke(id, until)` (until in seconds since the epoch, at least the `exp` of the last token in
 * question plus the clock tolerance) and `unrevoke(id)` resolve when Redis has it. `ready()` resolves when the list is loaded and
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
  // One slot, should the server be part of a cluster: the script touches all of them.
  const listKey = `{${prefix}}list`
  const logKey = `{${prefix}}log`
  const undoneKey = `{${prefix}}undone`
  const heartbeat = Math.min(1, maxStale / 4)
  const closing = new AbortController()
  let loaded = false
  /** The moment, in seconds of the monotonic clock, as of which the list was whole. */
  let wholeAt = Number.NEGATIVE_INFINITY
  /** `at` of the last entry of the log that was taken over. */
  let logAt = 0
  let failure: unknown
  let waiting: (() => void)[] = []
  const followed = follow()

  function isRevoked(ids: readonly string[]): boolean | Promise<boolean> {
    if (list.isRevoked(ids)) return true
    if (isCurrent()) return false
    if (loaded || closing.signal.aborted) throw stale()
    // A request that comes before the first load is worth a moment's wait.
    return withDeadline(nextLoad(), Math.min(FIRST_ANSWER, maxStale), stale).then(() => list.isRevoked(ids))
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
    await change(redis.command, id, until)
  }

  async function unrevoke(id: string): Promise<void> {
    checkId('redisRevocations', id)
    await change(redis.command, id, 0)
  }

  /** Revokes an id, or takes that back; with `knownAt`, gives a revocation back that the server seems to have lost. */
  async function change(
    command: DedicatedConnection['command'],
    id: string,
    until: number,
    knownAt: number | undefined = undefined,
  ): Promise<void> {
    const expired = Date.now() / 1000 - KEPT_EXPIRED
    const known = knownAt === undefined ? '+inf' : String(knownAt)
    const values = [id, String(until), String(expired), known, String(list.get(id)?.until ?? 0)]
    const reply = await answer(command('EVAL', CHANGE, '3', listKey, logKey, undoneKey, ...values))
    const [untilThen, at] = Array.isArray(reply) ? reply.map(Number) : []
    if (untilThen === undefined || at === undefined || !(untilThen >= 0 && at >= 0)) {
      throw new Error('redisRevocations: unexpected reply to a change')
    }
    // What the log has told already may have been changed again since.
    if (at > logAt || knownAt !== undefined) list.apply(id, untilThen, at)
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
    const [position, at] = await logEnd(connection)
    const listed = await scores(connection, listKey)
    // After the list: what was unrevoked while the list was read must not look lost.
    const undone = await scores(connection, undoneKey)
    const lost = takeOver(listed, undone, at)
    // A replica that was promoted before it had the last revocations learns them from whoever saw them.
    for (const { id, until } of lost) await change(connection.command, id, until, list.get(id)?.at ?? 0)
    loaded = true
    logAt = at
    markWhole(asked)
    return position
  }

  /** Takes a list over that was read, and gives back what is known here and was neither in it nor taken back. */
  function takeOver(
    listed: ReadonlyMap<string, number>,
    undone: ReadonlyMap<string, number>,
    at: number,
  ): Revocation[] {
    const lost: Revocation[] = []
    for (const { id, until } of list.current()) {
      const knownAt = list.get(id)?.at ?? 0
      const undoneAt = undone.get(id)
      if (undoneAt !== undefined && undoneAt >= knownAt) list.apply(id, 0, undoneAt)
      else if (until > (listed.get(id) ?? 0)) lost.push({ id, until })
    }
    for (const [id, until] of listed) list.apply(id, until, Math.max(at, undone.get(id) ?? 0))
    return lost
  }

  /** The members of a sorted set with their scores. */
  async function scores(connection: DedicatedConnection, key: string): Promise<Map<string, number>> {
    const found = new Map<string, number>()
    let cursor = '0'
    do {
      const reply = await answer(connection.command('ZSCAN', key, cursor, 'COUNT', PAGE))
      const [next, pairs] = Array.isArray(reply) ? reply : []
      for (const [member, score] of memberScores(pairs)) found.set(member, score)
      cursor = String(next)
    } while (cursor !== '0')
    return found
  }

  /** Waits for changes after `position`, at most a heartbeat long. */
  async function next(connection: DedicatedConnection, position: string): Promise<string> {
    const asked = performance.now() / 1000
    const block = String(Math.ceil(heartbeat * 1000))
    const read = connection.command('XREAD', 'COUNT', PAGE, 'BLOCK', block, 'STREAMS', logKey, position)
    const entries = streamEntries(await answer(read, heartbeat))
    let end = position
    for (const reply of entries) {
      const { entry, id, until, at } = logEntry(reply)
      if (!follows(entry, end)) throw new Error('redisRevocations: the log has a gap')
      list.apply(id, until, at)
      logAt = at
      end = entry
    }
    // An emptied server begins its log anew, below where we wait: without this look we would wait for ever.
    if (entries.length === 0 && isBehind((await logEnd(connection))[0], end)) {
      throw new Error('redisRevocations: the log was begun anew')
    }
    if (entries.length < Number(PAGE)) markWhole(asked)
    return end
  }

  async function logEnd(connection: DedicatedConnection): Promise<[entry: string, at: number]> {
    const reply = await answer(connection.command('XREVRANGE', logKey, '+', '-', 'COUNT', '1'))
    if (!Array.isArray(reply)) throw unexpected('XREVRANGE')
    if (reply.length === 0) return ['0-0', 0]
    const { entry, at } = logEntry(reply[0])
    return [entry, at]
  }

  /** The list holds everything up to when the last question was sent, which is sooner than its answer came. */
  function markWhole(asked: number): void {
    wholeAt = asked
    for (const resolve of waiting) resolve()
    waiting = []
  }

  function answer<T>(work: Promise<T>, blocking = 0): Promise<T> {
    return withDeadline(work, blocking + ANSWER, () => new Error('redisRevocations: no answer from Redis'))
  }

  return {
    isRevoked,
    revoke,
    unrevoke,
    async list() {
      if (!isCurrent()) {
        if (loaded || closing.signal.aborted) throw stale()
        await withDeadline(nextLoad(), maxStale, stale)
      }
      return list.current()
    },
    ready: async () => {
      if (!loaded || !isCurrent()) await withDeadline(nextLoad(), maxStale, stale)
    },
    close: async () => {
      closing.abort()
      await followed
    },
  }
}

/** The entries of the one stream that was read, as RESP2 or RESP3 and either client give them. */
function streamEntries(reply: unknown): unknown[] {
  if (reply === null) return []
  const streams = reply instanceof Map ? [...reply] : reply
  if (!Array.isArray(streams)) throw unexpected('XREAD')
  const entries = Array.isArray(streams[0]) ? streams[0][1] : streams[1]
  if (!Array.isArray(entries)) throw unexpected('XREAD')
  return entries
}

/** What one ZSCAN has found. A score that is no number would end a revocation. */
function memberScores(pairs: unknown): [member: string, score: number][] {
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

/** One change, as the script has written it. A number that is none would end a revocation, or never take effect. */
function logEntry(reply: unknown): { entry: string; id: string; until: number; at: number } {
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
