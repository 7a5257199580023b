import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Cache } from '../../../src/lib/cache.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Numbers as large as they say. */
const numbers = (maxSize: number) => {
  const cache = new Cache<{ size: number }>(maxSize, ({ size }) => size)
  return {
    get: (key: string) => cache.get(key)?.size,
    set: (key: string, size: number) => cache.set(key, { size }),
    delete: (key: string) => cache.delete(key),
    get size() {
      return cache.size
    },
    get count() {
      return cache.count
    },
  }
}

interface Step {
  what: 'get' | 'set' | 'delete'
  key: string
  value: number
}

/** A model of a cache of 20: a list that is searched from end to end. */
function createModel() {
  let entries: { key: string; value: number }[] = []
  const without = (key: string) => entries.filter((entry) => entry.key !== key)
  return {
    get(key: string) {
      const entry = entries.find((entry) => entry.key === key)
      if (entry !== undefined) entries = [...without(key), entry]
      return entry?.value
    },
    set(key: string, value: number) {
      entries = value > 20 ? without(key) : [...without(key), { key, value }]
      while (this.size() > 20) entries.shift()
    },
    delete(key: string) {
      entries = without(key)
    },
    size: () => entries.reduce((sum, { value }) => sum + value, 0),
    count: () => entries.length,
  }
}

describe('a cache', () => {
  test('lets go of what was used least lately, and of nothing else', () => {
    const step: fc.Arbitrary<Step> = fc.record({
      what: fc.constantFrom('get', 'set', 'delete'),
      key: fc.constantFrom(...'abcdefgh'),
      value: fc.oneof(
        { weight: 9, arbitrary: fc.integer({ min: 1, max: 6 }) },
        fc.integer({ min: 18, max: 22 }),
      ),
    })
    const run = (steps: readonly Step[]) => {
      const cache = numbers(20)
      const model = createModel()
      for (const { what, key, value } of steps) {
        if (what === 'get') expect(cache.get(key)).toBe(model.get(key))
        for (const each of [cache, model]) {
          if (what === 'delete') each.delete(key)
          if (what === 'set') each.set(key, value)
        }
        expect([cache.size, cache.count]).toEqual([model.size(), model.count()])
      }
      for (const key of 'abcdefgh') expect(cache.get(key)).toBe(model.get(key))
    }
    fc.assert(fc.property(fc.array(step, { maxLength: 80, size: 'max' }), run), { numRuns: 1000 })
  })

  test('keeps nothing without room, and nothing of a size that is no number', () => {
    const closed = numbers(0)
    closed.set('a', 1)
    const open = numbers(10)
    open.set('a', Number.NaN)
    expect([closed.get('a'), open.get('a'), closed.size, open.size]).toEqual([undefined, undefined, 0, 0])
  })

  test('holds on to nothing that it gave up', () => {
    const heap = () => {
      collect()
      return process.memoryUsage().heapUsed
    }
    const churn = (rounds: number) => {
      const cache = new Cache<number[]>(100_000_000, (value) => value.length * 8)
      for (let n = 0; n < rounds; n++) {
        cache.set(
          `${n % 1000}`,
          Array.from({ length: 500 }, () => n),
        )
        if (n % 3 === 0) cache.delete(`${(n + 500) % 1000}`)
      }
      return cache
    }
    const before = heap()
    const cache = churn(30_000)
    const grown = heap() - before
    expect(cache.count).toBeGreaterThan(500)
    expect(grown).toBeLessThan(3 * cache.size)
  })
})
