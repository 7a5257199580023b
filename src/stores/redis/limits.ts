import { randomUUID } from 'node:crypto'
import { withDeadline } from '../../lib/promise.js'
import { costUnits, fromUnits, maxUnits } from '../limit-units.js'
import type { CountedLimit, LimitCharge, LimitResult, LimitStore, LimitUse } from '../store.js'
import { type RedisClient, redisAdapter } from './client.js'
import { createScript } from './script.js'

/** Seconds. No window and no token is longer. */
const MAX_WINDOW = 31 * 24 * 3600
/** The maximum number of unanswered calls. Bounds the memory while Redis does not respond. */
const MAX_PENDING = 10_000

/** A limit store in Redis, made by {@link redisLimitStore}. */
export interface RedisLimitStore extends LimitStore {
  consume(key: string, cost: number, max: number, window: number): Promise<LimitResult>
  consumeAll(uses: readonly LimitUse[]): Promise<readonly CountedLimit[]>
  giveBack(charges: readonly LimitCharge[]): Promise<void>
  /** Resolves when Redis responds. Rejects if it does not respond within `timeout`. */
  ready(): Promise<void>
}

/**
 * Counts all keys or none, in one step of the server, by the server's clock. A counter is a hash: `used` in
 * units, `end` in milliseconds since the epoch, and `period`, which tells it from earlier counters of the
 * same key. Arguments for each key: cost, max, window in milliseconds, and 1 if the window is extended.
 */
const consumeScript = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local counters = {}
local fits = true
for i, key in ipairs(KEYS) do
  local at = i * 4 - 4
  local known = redis.call('HMGET', key, 'used', 'end', 'period')
  local c = { used = tonumber(known[1] or nil), ends = tonumber(known[2] or nil), period = known[3],
    cost = tonumber(ARGV[at + 1]), max = tonumber(ARGV[at + 2]), window = tonumber(ARGV[at + 3]) }
  if not c.used or not c.ends or not c.period or c.ends <= now then
    c.used, c.ends, c.period = 0, now + c.window, time[1] .. '.' .. time[2]
  end
  if ARGV[at + 4] == '1' and now + c.window > c.ends then c.later = now + c.window end
  c.fits = c.used + c.cost <= c.max
  fits = fits and c.fits
  counters[i] = c
end
local results = {}
for i, key in ipairs(KEYS) do
  local c = counters[i]
  if fits then
    c.used, c.ends = c.used + c.cost, c.later or c.ends
    redis.call('HSET', key, 'used', string.format('%.0f', c.used), 'end', string.format('%.0f', c.ends),
      'period', c.period)
    redis.call('PEXPIRE', key, string.format('%.0f', math.max(1, c.ends - now)))
  end
  results[i] = { c.fits and 1 or 0, string.format('%.0f', math.max(0, c.max - c.used)),
    string.format('%.0f', math.max(0, c.ends - now)), c.period }
end
return results
`

/**
 * Takes costs off counters whose period has not changed. The first key marks this call as done, because
 * clients send a command again after a reconnect. Arguments for each further key: cost and period.
 */
const giveBackScript = `
if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', '60000') then return 1 end
for i = 1, #KEYS - 1 do
  local key = KEYS[i + 1]
  local known = redis.call('HMGET', key, 'used', 'period')
  local used, period = tonumber(known[1] or nil), ARGV[i * 2]
  if used and (period == '' or known[2] == period) then
    redis.call('HSET', key, 'used', string.format('%.0f', math.max(0, used - tonumber(ARGV[i * 2 - 1]))))
  end
end
return 1
`

/**
 * A limit store in Redis 6 or later or in Valkey, for all processes of an API. One script for each request
 * counts all its limits, or none, exactly. It rejects if Redis gives no clear reply within `timeout` seconds:
 * it is down, slow or a replica. Counters survive a restart of Redis only if it keeps its data on disk.
 */
export function redisLimitStore(
  client: RedisClient,
  { prefix = 'ajwt:limit:', timeout = 0.25 }: { prefix?: string; timeout?: number } = {},
): RedisLimitStore {
  if (!(timeout > 0 && timeout <= 60)) {
    throw new TypeError('redisLimitStore: timeout must be a number of seconds, at most 60')
  }
  const redis = redisAdapter(client)
  let isConnected = false
  /** Increases with each lost connection: a reply counts only if its command was sent on the same one. */
  let connection = 0
  let pending = 0
  redis.onReady(() => {
    isConnected = true
  })
  redis.onDisconnect(() => {
    isConnected = false
    connection += 1
  })

  const runConsume = createScript(redis.command, consumeScript)
  const runGiveBack = createScript(redis.command, giveBackScript)

  async function consumeAll(uses: readonly LimitUse[]): Promise<readonly CountedLimit[]> {
    const args = uses.flatMap(readUse)
    const keys = uses.map(({ key }) => prefix + key)
    const read = (reply: unknown): readonly CountedLimit[] => {
      if (!Array.isArray(reply) || reply.length !== uses.length) throw unexpected()
      return reply.map(readResult)
    }
    // The request is refused by then: clients send a command again after a reconnect, and it must not count.
    const undo = (reply: unknown) => {
      const results = read(reply)
      if (!results.every(({ allowed }) => allowed)) return
      const charges = uses.map(({ key, cost }, index) => ({
        key,
        cost,
        period: results[index]?.period ?? '',
      }))
      giveBack(charges).catch(() => {})
    }
    return read(await send(() => runConsume(keys, args), undo))
  }

  /** `onLate` gets a reply that came after the deadline, or after a reconnect. */
  async function send(run: () => Promise<unknown>, onLate: (reply: unknown) => void): Promise<unknown> {
    if (pending >= MAX_PENDING) {
      throw new Error(`redisLimitStore: ${MAX_PENDING} calls are pending. Check that Redis responds`)
    }
    pending += 1
    const deadline = performance.now() + timeout * 1000
    const sent = sendConnected(run, deadline, onLate).finally(() => {
      pending -= 1
    })
    return withDeadline(sent, timeout, timeoutError)
  }

  /**
   * Without a connection, clients queue a command and send it later, and would count a request that was
   * refused.
   */
  async function sendConnected(
    run: () => Promise<unknown>,
    deadline: number,
    onLate: (reply: unknown) => void,
  ): Promise<unknown> {
    // `onReady` tells of a connection that is already there in a microtask.
    if (!isConnected) await undefined
    if (!isConnected) throw new Error('redisLimitStore: there is no connection to Redis')
    const before = connection
    const reply = await run()
    if (before === connection && performance.now() < deadline) return reply
    onLate(reply)
    throw new Error('redisLimitStore: the reply came too late, or after a reconnect')
  }

  async function giveBack(charges: readonly LimitCharge[]): Promise<void> {
    const keys = [`given-back:${randomUUID()}`, ...charges.map(({ key }) => key)].map((key) => prefix + key)
    const args = charges.flatMap(({ cost, period }) => [String(costUnits(cost) ?? 0), period])
    await send(
      () => runGiveBack(keys, args),
      () => {},
    )
  }

  function timeoutError(): Error {
    return new Error(`redisLimitStore: no answer from Redis within ${timeout} s`)
  }

  return {
    async consume(key, cost, max, window) {
      if (cost < 0) await giveBack([{ key, cost: -cost, period: '' }])
      const use = { key, cost: Math.max(0, cost), max, window, isExtended: false }
      const [{ allowed, remaining, resetSeconds }] = (await consumeAll([use])) as [CountedLimit]
      return { allowed: cost < 0 || allowed, remaining, resetSeconds }
    },
    consumeAll,
    giveBack,
    async ready() {
      await withDeadline(redis.command('PING'), timeout, timeoutError)
    },
  }
}

function readUse({ key, cost, max, window, isExtended }: LimitUse): string[] {
  const [costs, most] = [costUnits(cost), maxUnits(max)]
  if (typeof key !== 'string' || costs === undefined || most === undefined) {
    throw new TypeError('redisLimitStore: key must be a string, cost and max numbers of 0 or more')
  }
  if (!(window > 0 && window <= MAX_WINDOW)) {
    throw new TypeError('redisLimitStore: window must be a number of seconds, at most 31 days')
  }
  return [String(costs), String(most), String(Math.ceil(window * 1000)), isExtended ? '1' : '0']
}

function readResult(reply: unknown): CountedLimit {
  if (!Array.isArray(reply)) throw unexpected()
  const [fits, left, milliseconds, period] = reply
  const [remaining, reset] = [Number(left), Number(milliseconds)]
  if ((fits !== 0 && fits !== 1) || !Number.isFinite(remaining) || !Number.isFinite(reset)) throw unexpected()
  return {
    allowed: fits === 1,
    remaining: fromUnits(remaining),
    resetSeconds: reset / 1000,
    period: String(period),
  }
}

function unexpected(): Error {
  return new Error('redisLimitStore: unexpected reply to the script')
}
