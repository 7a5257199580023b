import { describe, expect, test } from 'vitest'
import { Lru } from '../../../src/lib/lru.js'

describe('an LRU cache', () => {
  test('evicts the value that was not used for the longest time, and says so', () => {
    const evicted: number[] = []
    const cache = new Lru<number>(3, (value) => evicted.push(value))
    for (const value of [1, 2, 3]) cache.set(`${value}`, value)
    expect([cache.get('1'), cache.peek('2'), cache.get('no')]).toEqual([1, 2, undefined])
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
    expect([cache.get('a'), cache.size, cache.weight, evicted]).toEqual(['second', 1, 1, []])
  })

  test('evicts as many as a heavy value takes, and does not keep one that is too heavy', () => {
    const evicted: string[] = []
    const cache = new Lru<string>(10, (value) => evicted.push(value))
    for (const key of 'abcde') cache.set(key, key, 2)
    cache.set('f', 'f', 5)
    expect([evicted.join(''), cache.weight]).toEqual(['abc', 9])
    cache.set('g', 'g', 11)
    expect([evicted.join(''), cache.size, cache.weight]).toEqual(['abcdefg', 0, 0])
    cache.set('h', 'h', 10)
    expect([cache.get('h'), evicted.join('')]).toEqual(['h', 'abcdefg'])
  })
})
