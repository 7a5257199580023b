import { expect, it } from 'vitest'
import { memoryLimitStore } from '../../../src/index.js'
import { costUnits, maxUnits } from '../../../src/stores/limit-units.js'

it.each([
  [0, 0, 0],
  [1, 10_000, 10_000],
  [1.1, 11_000, 11_000],
  [0.3, 3000, 3000],
  [9e-7, 1, 0],
  [1.0000009, 10_001, 10_000],
  [899_999_999_999.9999, 8_999_999_999_999_999, 8_999_999_999_999_999],
])('%s costs %s units, and as a limit allows %s', (value, cost, max) => {
  expect([costUnits(value), maxUnits(value)]).toEqual([cost, max])
})

it('a cost that is nearly nothing is counted', async () => {
  const store = memoryLimitStore()
  expect(await store.consume('a', 9e-7, 0.0001, 60)).toMatchObject({ allowed: true, remaining: 0 })
  expect(await store.consume('a', 9e-7, 0.0001, 60)).toMatchObject({ allowed: false })
})
