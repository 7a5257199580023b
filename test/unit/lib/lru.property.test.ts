import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as node from '../../../src/lib/lru-node.js'
import * as web from '../../../src/lib/lru-web.js'

interface LruFile {
  readonly Lru: new <T extends NonNullable<unknown>>(
    maxWeight: number,
    onEvict?: (value: T) => void,
  ) => Pick<node.Lru<T>, keyof node.Lru<T>>
}

/** Both files stand behind `#lru`: the compiler demands the same members of the same types. */
const others: LruFile = web

describe.each([
  ['lru-cache', node.Lru],
  ['tiny-lru', others.Lru],
] as const)('an LRU cache by %s', (_, Lru) => {
  test('evicts the value that was not used for the longest time, and says so', () => {
    const evicted: number[] = []
    const cache = new Lru<number>(3, (value) => evicted.push(value))
    for (const value of [1, 2, 3]) cache.set(`${value}`, value)
    expect([cache.get('1'), cache.peek('2'), cache.get('no'), cache.peek('no')]).toEqual([
      1,
      2,
      undefined,
      undefined,
    ])
    cache.set('4', 4)
    expect(evicted).toEqual([2])
    expect([...cache.values()].sort()).toEqual([1, 3, 4])
    cache.set('5', 5)
    expect(evicted).toEqual([2, 3])
  })

  test('a value that is replaced or deleted is not evicted', () => {
    const evicted: string[] = []
    const cache = new Lru<string>(2, (value) => evicted.push(value))
    cache.set('a', 'first')
    cache.set('a', 'second')
    cache.set('b', 'b')
    cache.delete('b')
    cache.delete('b')
    expect([cache.get('a'), cache.count, cache.weight, evicted]).toEqual(['second', 1, 1, []])
  })

  test('has no key that was not stored, for any name', () => {
    const cache = new Lru<string>(2)
    for (const key of ['__proto__', 'constructor', 'toString', '', '0']) {
      expect([cache.get(key), cache.peek(key)]).toEqual([undefined, undefined])
      cache.set(key, key)
      expect([cache.get(key), cache.count <= 2]).toEqual([key, true])
    }
  })
})

type Step = readonly [what: 'get' | 'set' | 'delete', key: string, weight: number]

test('both evict the same values', () => {
  const step: fc.Arbitrary<Step> = fc.tuple(
    fc.constantFrom('get', 'set', 'set', 'delete'),
    fc.constantFrom(...'abcdefgh'),
    fc.integer({ min: 1, max: 9 }),
  )
  const run = (steps: readonly Step[]) => {
    const evicted: string[][] = [[], []]
    const caches = [node.Lru, others.Lru].map(
      (Lru, index) => new Lru<string>(20, (value) => evicted[index]?.push(value)),
    )
    for (const [index, [what, key, weight]] of steps.entries()) {
      const results = caches.map((cache) => {
        if (what === 'set') cache.set(key, `${key}${index}`, weight)
        else if (what === 'delete') cache.delete(key)
        return [what === 'get' ? cache.get(key) : undefined, cache.weight, cache.count]
      })
      expect(results[1]).toEqual(results[0])
    }
    expect(evicted[1]).toEqual(evicted[0])
  }
  fc.assert(fc.property(fc.array(step, { maxLength: 80, size: 'max' }), run), { numRuns: 500 })
})
