import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { type LimitUse, memoryLimitStore } from '../../../../src/index.js'

const use = (key: string, cost: number, max: number, window = 60, isExtended = false): LimitUse => ({
  key,
  cost,
  max,
  window,
  isExtended,
})

/** A store with a clock that a test sets. */
function storeAt(maxEntries = 1000) {
  const clock = { now: 1_000_000 }
  return { clock, store: memoryLimitStore({ maxEntries, now: () => clock.now }) }
}

describe('memoryLimitStore', () => {
  it('counts up to the limit, and begins again when the window is over', () => {
    const { store, clock } = storeAt()
    expect(store.consume('a', 2, 3, 60)).toEqual({ allowed: true, remaining: 1, resetSeconds: 60 })
    clock.now += 20_000
    expect(store.consume('a', 2, 3, 60)).toEqual({ allowed: false, remaining: 1, resetSeconds: 40 })
    expect(store.consume('a', 1, 3, 60)).toEqual({ allowed: true, remaining: 0, resetSeconds: 40 })
    clock.now += 39_999
    expect(store.consume('a', 1, 3, 60).allowed).toBe(false)
    clock.now += 1
    expect(store.consume('a', 3, 3, 60)).toEqual({ allowed: true, remaining: 0, resetSeconds: 60 })
  })

  it('adds decimal amounts exactly', () => {
    const { store } = storeAt()
    for (let call = 0; call < 3; call++) expect(store.consume('a', 0.1, 0.3, 60).allowed).toBe(true)
    expect(store.consume('a', 0.0001, 0.3, 60)).toMatchObject({ allowed: false, remaining: 0 })
    expect(store.consume('b', 1.1, 3.3, 60).remaining).toBe(2.2)
    // Rounded against the caller.
    expect(store.consume('c', 0.00001, 0.0001, 60).remaining).toBe(0)
    expect(store.consume('d', 0.0001, 0.00019, 60).remaining).toBe(0)
    expect(store.consume('e', 900_000_000_000, 900_000_000_000, 60)).toMatchObject({
      allowed: true,
      remaining: 0,
    })
    expect(store.consume('e', 0.0001, 900_000_000_000, 60).allowed).toBe(false)
  })

  it('counts several keys together, or none', () => {
    const { store } = storeAt()
    expect(store.consumeAll([use('a', 1, 2), use('b', 1, 1)]).map(({ allowed }) => allowed)).toEqual([
      true,
      true,
    ])
    expect(store.consumeAll([use('a', 1, 2), use('b', 1, 1)]).map(({ allowed }) => allowed)).toEqual([
      true,
      false,
    ])
    expect(store.consume('a', 0, 2, 60).remaining).toBe(1)
  })

  it('extends a counter for limits that last as long as a token', () => {
    const { store, clock } = storeAt()
    store.consumeAll([use('a', 1, 2, 60, true)])
    clock.now += 50_000
    expect(store.consumeAll([use('a', 1, 2, 60, true)])[0]).toMatchObject({ allowed: true, resetSeconds: 60 })
    clock.now += 59_000
    expect(store.consumeAll([use('a', 1, 2, 60, true)])[0]?.allowed).toBe(false)
    // A refusal extends nothing, and a shorter window shortens nothing.
    clock.now += 1000
    expect(store.consumeAll([use('a', 1, 2, 60, true)])[0]?.allowed).toBe(true)
    expect(store.consumeAll([use('a', 1, 2, 10, true)])[0]?.resetSeconds).toBe(60)
  })

  it('gives back to the period that a cost was counted in, and to no other', () => {
    const { store, clock } = storeAt()
    const [first] = store.consumeAll([use('a', 2, 2)])
    store.giveBack([{ key: 'a', cost: 2, period: first?.period ?? '' }])
    expect(store.consume('a', 2, 2, 60).allowed).toBe(true)
    clock.now += 60_000
    store.consume('a', 2, 2, 60)
    store.giveBack([{ key: 'a', cost: 2, period: first?.period ?? '' }])
    expect(store.consume('a', 1, 2, 60).allowed).toBe(false)
    store.giveBack([{ key: 'unknown', cost: 2, period: '' }])
    expect(store.consume('unknown', 3, 2, 60).allowed).toBe(false)
  })

  it('takes a negative cost back, never below 0', () => {
    const { store } = storeAt()
    expect(store.consume('a', -5, 2, 60)).toEqual({ allowed: true, remaining: 2, resetSeconds: 0 })
    store.consume('a', 2, 2, 60)
    expect(store.consume('a', -1, 2, 60)).toMatchObject({ allowed: true, remaining: 1 })
    expect(store.consume('a', -5, 2, 60)).toMatchObject({ allowed: true, remaining: 2 })
    expect(store.consume('a', 3, 2, 60).allowed).toBe(false)
  })

  it('drops no counter that runs when it is full, and makes room for new ones when some have ended', () => {
    const { store, clock } = storeAt(3)
    for (const key of ['a', 'b', 'c']) store.consume(key, 1, 1, 60)
    expect(() => store.consume('d', 1, 1, 60)).toThrow(/all 3 counters are in use/)
    expect(store.consume('a', 1, 1, 60).allowed).toBe(false)
    // A refused request needs no room.
    expect(store.consume('d', 2, 1, 60).allowed).toBe(false)
    clock.now += 60_000
    expect(store.consume('d', 1, 1, 60).allowed).toBe(true)
    expect(store.size).toBeLessThanOrEqual(3)
  })

  it('forgets counters that have ended', () => {
    const { store, clock } = storeAt()
    for (let index = 0; index < 1000; index++) store.consume(`${index}`, 1, 1, 1)
    clock.now += 1000
    for (let index = 0; index < 200; index++) store.consume('a', 0, 1, 1)
    expect(store.size).toBeLessThan(10)
  })

  it.each([
    ['a cost that is no number', () => storeAt().store.consume('a', Number.NaN, 1, 60)],
    ['an infinite cost', () => storeAt().store.consume('a', Number.POSITIVE_INFINITY, 1, 60)],
    ['a limit below 0', () => storeAt().store.consume('a', 1, -1, 60)],
    ['no window', () => storeAt().store.consume('a', 1, 1, 0)],
    ['a window that is no number', () => storeAt().store.consume('a', 1, 1, Number.NaN)],
    ['a window of more than 31 days', () => storeAt().store.consume('a', 1, 1, 31 * 24 * 3600 + 1)],
    ['a key that is no string', () => storeAt().store.consume(1 as never, 1, 1, 1)],
    ['a clock without time', () => memoryLimitStore({ now: () => Number.NaN }).consume('a', 1, 1, 1)],
    ['no room at all', () => memoryLimitStore({ maxEntries: 0 })],
  ])('refuses %s', (_, call) => {
    expect(call).toThrow(TypeError)
  })
})

test('random sequences keep what a list of all costs says', () => {
  const step = fc.record({
    keys: fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { minLength: 1 }),
    cost: fc.integer({ min: 0, max: 3 }),
    after: fc.integer({ min: 0, max: 4 }),
    givesBack: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { store, clock } = storeAt()
      const counters = new Map<string, { used: number; end: number }>()
      for (const { keys, cost, after, givesBack } of steps) {
        clock.now += after * 1000
        for (const [key, { end }] of counters) if (end <= clock.now) counters.delete(key)
        const fits = keys.map((key) => (counters.get(key)?.used ?? 0) + cost <= 5)
        const results = store.consumeAll(keys.map((key) => use(key, cost, 5, 10)))
        expect(results.map(({ allowed }) => allowed)).toEqual(fits)
        if (!fits.every(Boolean)) continue
        for (const key of keys) {
          const counter = counters.get(key) ?? { used: 0, end: clock.now + 10_000 }
          counters.set(key, { ...counter, used: counter.used + (givesBack ? 0 : cost) })
        }
        if (givesBack)
          store.giveBack(keys.map((key, index) => ({ key, cost, period: results[index]?.period ?? '' })))
      }
      for (const [key, { used }] of counters)
        if ((counters.get(key)?.end ?? 0) > clock.now)
          expect(store.consume(key, 0, 5, 10).remaining).toBe(5 - used)
    }),
    { numRuns: 300 },
  )
})
