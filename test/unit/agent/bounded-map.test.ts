import { expect, test } from 'vitest'
import { BoundedMap } from '../../../src/agent/bounded-map.js'

test('a bounded map drops the oldest entry, and a new value makes an entry the newest', () => {
  const map = new BoundedMap<string, number>(2)
  map.set('a', 1).set('b', 2).set('a', 3).set('c', 4)
  expect([...map]).toEqual([
    ['a', 3],
    ['c', 4],
  ])
})

test('a bounded map of no entries keeps none, and one may have an undefined key', () => {
  expect(new BoundedMap<string, number>(0).set('a', 1).size).toBe(0)
  const map = new BoundedMap<string | undefined, number>(1).set(undefined, 1).set('a', 2)
  expect([...map.keys()]).toEqual(['a'])
})
