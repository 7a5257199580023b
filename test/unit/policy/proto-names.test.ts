import { describe, expect, test } from 'vitest'
import { createKit } from '../../../fixtures/kit.js'
import { type Policy, PolicyError } from '../../../src/index.js'
import { verifierFor } from '../../support/verify.js'

// A policy is often JSON, where "__proto__" is a name like any other. A reader must not lose it in
// silence: a condition that is not there is a condition that always holds.
const lost: readonly [what: string, policy: string][] = [
  ['an agent', '{"agents":{"__proto__":{"checksums":["x"]}}}'],
  ['a workflow', '{"workflows":{"__proto__":{"steps":["look","issue"]}}}'],
  [
    'a value that a claim has to equal',
    '{"routes":{"GET /orders/:id":{"claims":{"/x":{"equals":{"__proto__":1}}}}}}',
  ],
  [
    'a value within one',
    '{"routes":{"GET /orders/:id":{"claims":{"/x":{"equals":{"a":[{"__proto__":1}]}}}}}}',
  ],
  ['one of several values', '{"routes":{"GET /orders/:id":{"claims":{"/x":{"in":[{"__proto__":1}]}}}}}'],
  ['a condition', '{"routes":{"GET /orders/:id":{"__proto__":{"scope":"admin"}}}}'],
  ['a key of the policy', '{"__proto__":{"mode":"observe"}}'],
]

describe('a policy in which __proto__ is the name of', () => {
  test.each(lost)('%s is refused, or works as any other name', async (_, text) => {
    const kit = createKit()
    const policy = JSON.parse(text) as Partial<Policy>
    const merged = Object.defineProperties({ ...policy }, Object.getOwnPropertyDescriptors(policy))
    expect(() => verifierFor(kit, merged)).toThrow(PolicyError)
  })
})

test('a policy can use names of inherited members', async () => {
  const kit = createKit()
  const { outcome } = verifierFor(kit, {
    agents: { constructor: { checksums: ['x'] }, toString: { checksums: ['x'] } } as never,
  })
  for (const sub of ['constructor', 'toString', 'valueOf']) {
    const request = kit.call({ token: { claims: { sub, intent: kit.intent({ executed_by: sub }) } } })
    expect(await outcome(request)).toBe(sub === 'valueOf' ? 'allow' : 'agent_checksum_not_allowed')
  }
})
