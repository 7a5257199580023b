import { costUnits, fromUnits, maxUnits } from '../limit-units.js'
import type { CountedLimit, LimitCharge, LimitResult, LimitStore, LimitUse } from '../store.js'

/** Seconds. No window and no token is longer. */
const MAX_WINDOW = 31 * 24 * 3600
/** Counters checked for their end per call. */
const SWEEP = 8

/** A limit store in memory, made by {@link memoryLimitStore}. */
export interface MemoryLimitStore extends LimitStore {
  consume(key: string, cost: number, max: number, window: number): LimitResult
  consumeAll(uses: readonly LimitUse[]): readonly CountedLimit[]
  giveBack(charges: readonly LimitCharge[]): void
  /** The number of counters, including ended ones that are not swept yet. */
  readonly size: number
}

interface Counter {
  used: number
  /** Milliseconds since the epoch. */
  end: number
  readonly period: string
}

/**
 * A limit store for one process. It has at most `maxEntries` counters. When all of them run, a new one is
 * refused with an error, so that the request is denied with 503: to drop a counter would give its caller a
 * new budget. `now` gives milliseconds. Throws `TypeError` for an invalid option or argument.
 */
export function memoryLimitStore({
  maxEntries = 1_000_000,
  now = () => Date.now(),
}: {
  maxEntries?: number
  now?: () => number
} = {}): MemoryLimitStore {
  if (!Number.isInteger(maxEntries) || maxEntries < 1 || maxEntries > 2 ** 24) {
    throw new TypeError('memoryLimitStore: maxEntries must be an integer from 1 to 16777216')
  }
  const counters = new Map<string, Counter>()
  let sweepIterator = counters.entries()
  let periods = 0
  let lastScan = Number.NEGATIVE_INFINITY

  function consumeAll(uses: readonly LimitUse[]): readonly CountedLimit[] {
    const time = now()
    // NaN must fail this test: with a NaN clock no counter would end.
    if (!Number.isFinite(time)) throw new TypeError('memoryLimitStore: now() must return a finite number')
    sweep(time)
    const costs = uses.map(readUse)
    const running = uses.map(({ key }) => findRunning(key, time))
    const fits = costs.map(({ cost, max }, index) => (running[index]?.used ?? 0) + cost <= max)
    const isCounted = fits.every(Boolean)
    if (isCounted) makeRoom(running.filter((counter) => counter === undefined).length, time)
    return uses.map((use, index) => {
      const { cost, max } = costs[index] as Units
      const counter = isCounted ? count(use, cost, running[index], time) : running[index]
      return {
        allowed: fits[index] === true,
        remaining: fromUnits(Math.max(0, max - (counter?.used ?? 0))),
        resetSeconds: counter === undefined ? use.window : Math.max(0, counter.end - time) / 1000,
        period: counter?.period ?? '',
      }
    })
  }

  function count(
    { key, window, isExtended }: LimitUse,
    cost: number,
    known: Counter | undefined,
    time: number,
  ): Counter {
    const end = time + window * 1000
    if (known === undefined) {
      const counter: Counter = { used: cost, end, period: String(++periods) }
      // Deleted first: the counter of an earlier period keeps its place in the order of a Map.
      counters.delete(key)
      counters.set(key, counter)
      return counter
    }
    known.used += cost
    if (isExtended && end > known.end) known.end = end
    return known
  }

  function findRunning(key: string, time: number): Counter | undefined {
    const counter = counters.get(key)
    return counter !== undefined && counter.end > time ? counter : undefined
  }

  function makeRoom(more: number, time: number): void {
    if (counters.size + more <= maxEntries) return
    // At most once a second: to scan a full map for each request would help a flood.
    if (!(Math.abs(time - lastScan) < 1000)) {
      lastScan = time
      for (const [key, { end }] of counters) if (end <= time) counters.delete(key)
    }
    if (counters.size + more > maxEntries) {
      throw new Error(
        `memoryLimitStore: all ${maxEntries} counters are in use. Raise maxEntries, or use redisLimitStore`,
      )
    }
  }

  /** Removes counters that have ended, a few per call: needs no timer, and no call scans the whole map. */
  function sweep(time: number): void {
    for (let step = 0; step < SWEEP; step++) {
      const next = sweepIterator.next()
      if (next.done) {
        sweepIterator = counters.entries()
        return
      }
      if (next.value[1].end <= time) counters.delete(next.value[0])
    }
  }

  function takeBack(key: string, cost: number, period?: string): Counter | undefined {
    const counter = findRunning(key, now())
    if (counter === undefined || (period !== undefined && counter.period !== period)) return counter
    counter.used = Math.max(0, counter.used - (costUnits(cost) ?? 0))
    return counter
  }

  return {
    consume(key, cost, max, window) {
      const use: LimitUse = { key, cost: Math.max(0, cost), max, window, isExtended: false }
      if (cost < 0) takeBack(key, -cost)
      // A cost of 0 counts nothing, but begins a counter: only for one that runs is the state asked that way.
      if (cost < 0 && findRunning(key, now()) === undefined)
        return { allowed: true, remaining: max, resetSeconds: 0 }
      const [{ allowed, remaining, resetSeconds }] = consumeAll([use]) as [CountedLimit]
      return { allowed: cost < 0 || allowed, remaining, resetSeconds }
    },
    consumeAll,
    giveBack(charges) {
      for (const { key, cost, period } of charges) takeBack(key, cost, period)
    },
    get size() {
      return counters.size
    },
  }
}

interface Units {
  readonly cost: number
  readonly max: number
}

function readUse({ key, cost, max, window }: LimitUse): Units {
  const units = { cost: costUnits(cost), max: maxUnits(max) }
  if (typeof key !== 'string' || units.cost === undefined || units.max === undefined) {
    throw new TypeError('memoryLimitStore: key must be a string, cost and max numbers of 0 or more')
  }
  if (!(window > 0 && window <= MAX_WINDOW)) {
    throw new TypeError('memoryLimitStore: window must be a number of seconds, at most 31 days')
  }
  return { cost: units.cost, max: units.max }
}
