import { expect, test } from 'vitest'
import { createKit } from '../../../fixtures/kit.js'
import { PolicyError } from '../../../src/index.js'
import { verifierFor } from '../../support/verify.js'

test('all mistakes in workflows are reported', () => {
  const steps = (list: unknown) => ({ workflows: { refund: { steps: list } } }) as never
  const wrong: readonly [unknown, RegExp][] = [
    [['a', 'b', 'a'], /workflows\.refund\.steps.*twice/],
    [[{ id: 'a' }, 'a'], /twice/],
    [Array.from({ length: 13 }, (_, index) => ({ id: `s${index}`, optional: true })), /12/],
    [['a|b'], /\|/],
    [[''], /workflows\.refund/],
    [[], /workflows\.refund/],
  ]
  for (const [list, message] of wrong) {
    expect(() => verifierFor(createKit(), steps(list))).toThrow(PolicyError)
    expect(() => verifierFor(createKit(), steps(list))).toThrow(message)
  }
})

test('a route cannot require a step that its workflow does not have', () => {
  const policy = {
    workflows: { refund: { steps: ['look', 'issue'] } },
    routes: { 'GET /a': { intent: { workflow: 'refund', step: ['issue', 'pay'] } } },
  }
  expect(() => verifierFor(createKit(), policy)).toThrow(/"pay" is not a step of "refund"/)
})
