import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Cache } from '../src/caches.js'

/** Numbers as large as they say. */
const numbers = (maxSize: number) => new Cache<number>(maxSize, (size) => size)

describe('a cache', () => {
  test('keeps what fits, and of what does not the older part goes', () => {
    const cache = numbers(30)
    for (const key of ['a', 'b', 'c', 'd']) cache.set(key, 10)
    expect(['a', 'b', 'c', 'd'].map((key) => cache.get(key))).toEqual([undefined, 10, 10, 10])
    expect(cache.size).toBe(30)
  })

  test('keeps what is asked for, whatever else comes', () => {
    const cache = numbers(100)
    cache.set('used', 10)
    for (let n = 0; n < 1000; n++) {
      expect(cache.get('used')).toBe(10)
      cache.set(`once ${n}`, 10)
    }
    expect(cache.count).toBe(10)
  })

  test('forgets what is not asked for any more', () => {
    const cache = numbers(100)
    cache.set('used', 10)
    cache.get('used')
    for (let n = 0; n < 30; n++) cache.set(`once ${n}`, 10)
    expect(cache.get('used')).toBeUndefined()
  })

  test('looks at few entries for one that it takes in, however many are in use', () => {
    const cache = numbers(100_000)
    for (let n = 0; n < 100_000; n++) cache.set(`${n}`, 1)
    for (let n = 0; n < 100_000; n++) cache.get(`${n}`)
    cache.set('new', 1)
    const isThere = (n: number) => cache.get(`${n}`) !== undefined
    expect(Array.from({ length: 18 }, (_, n) => isThere(n)).indexOf(false)).toBe(16)
  })

  test('keeps nothing larger than itself, and nothing at all without room', () => {
    const cache = numbers(30)
    cache.set('a', 30)
    cache.set('b', 31)
    expect([cache.get('a'), cache.get('b')]).toEqual([30, undefined])
    const closed = numbers(0)
    closed.set('a', 1)
    expect(closed.get('a')).toBeUndefined()
  })

  test('gives for a key what was last set for it, within its bound', () => {
    const step = fc.record({
      what: fc.constantFrom('get', 'set', 'delete'),
      key: fc.constantFrom(...'abcdefgh'),
      value: fc.integer({ min: 0, max: 12 }),
    })
    const run = (steps: readonly { what: string; key: string; value: number }[]) => {
      const cache = numbers(20)
      const last = new Map<string, number>()
      for (const { what, key, value } of steps) {
        if (what === 'get') expect([last.get(key), undefined]).toContain(cache.get(key))
        if (what === 'delete') {
          cache.delete(key)
          last.delete(key)
        }
        if (what === 'set') {
          cache.set(key, value)
          last.set(key, value)
          expect(cache.get(key)).toBe(value)
        }
        const held = [...last.keys()].map((known) => cache.get(known)).filter((found) => found !== undefined)
        expect(cache.size).toBe(held.reduce((sum, found) => sum + found, 0))
        expect(cache.count).toBe(held.length)
        expect(cache.size).toBeLessThanOrEqual(20)
      }
    }
    fc.assert(fc.property(fc.array(step, { maxLength: 80 }), run), { numRuns: 2000 })
  })
})
