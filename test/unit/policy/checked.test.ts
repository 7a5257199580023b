import { describe, expect, test } from 'vitest'
import { compilePolicy } from '../../../src/compile/compile-policy.js'
import { emitPolicy } from '../../../src/compile/emit-policy.js'
import { findHandlerRuleProblems } from '../../../src/compile/policy-problems-checked.js'
import { checkedPolicy, checkedRules, createVerifier, type Policy, PolicyError } from '../../../src/index.js'
import { type KnownServerName, knownServers } from '../../../src/policy/known-servers.js'
import * as checkedParser from '../../../src/policy/parse-checked.js'
import { createTestIssuer } from '../../../src/testing/index.js'
import { createResolver } from '../../../src/token/issuer-resolver-checked.js'

const issuer = createTestIssuer()
const policy = {
  issuer: issuer.policyIssuer,
  audience: issuer.audience,
  routes: { 'GET /orders/:id': { scope: 'orders:read' } },
}

/** The arguments of `checkedPolicy` in an emitted module. */
function emitted(source: string): Parameters<typeof checkedPolicy> {
  const call = /^export default checkedPolicy\(\n([\s\S]*),\n\)$/m.exec(source)?.[1]
  return JSON.parse(`[${call}]`)
}

test('an emitted policy is the policy, frozen', async () => {
  const checked = checkedPolicy(...emitted(emitPolicy(policy)))
  expect(JSON.parse(JSON.stringify(checked))).toEqual(policy)
  expect(Object.isFrozen(checked.routes)).toBe(true)
  const request = {
    method: 'GET',
    url: '/orders/7',
    headers: issuer.headers({ url: '/orders/7', scope: 'orders:read' }),
  }
  expect(await createVerifier(checked).verify(request)).toMatchObject({ outcome: 'allow' })
  expect(checkedParser.parsePolicy(checked)).toMatchObject({ data: policy, routeKeys: ['GET /orders/:id'] })
})

test.each(Object.keys(knownServers) as KnownServerName[])(
  'an emitted policy has the entry of %s filled in, and is the same policy',
  (like) => {
    const written = { ...policy, issuer: { url: 'https://as.example.com', like, token: { maxLifetime: 60 } } }
    const checked = checkedPolicy(...emitted(emitPolicy(written)))
    expect(checked.issuer).not.toHaveProperty('like')
    const issuerOf = (each: Policy) => JSON.stringify([...compilePolicy(each).issuers.values()], asText)
    expect(issuerOf(checked)).toBe(issuerOf(written))
  },
)

/** Sets and functions, so that a difference shows. */
function asText(_name: string, value: unknown): unknown {
  if (value instanceof Set || value instanceof Map) return [...value]
  return typeof value === 'function' ? String(value) : value
}

describe('rules of handlers', () => {
  const rules = { refund: { scope: 'refunds', intent: { workflow: 'refund', step: 'pay' } }, other: {} }
  const withWorkflow = { ...policy, workflows: { refund: { steps: ['ask', 'pay'] } } }

  /** As the emitted module makes them. */
  function load(written: Policy) {
    const source = emitPolicy(written, rules)
    const policyCall = /const policy = checkedPolicy\(\n([\s\S]*?),\n\)/.exec(source)?.[1]
    const rulesCall = /checkedRules\(\n {2}policy,\n([\s\S]*?),\n\)/.exec(source)?.[1]
    const own = checkedPolicy(...(JSON.parse(`[${policyCall}]`) as Parameters<typeof checkedPolicy>))
    const [digest, data]: [string, typeof rules] = JSON.parse(`[${rulesCall}]`)
    return { policy: own, digest, data, rules: checkedRules(own, digest, data) }
  }

  test('are emitted with the policy, frozen, and read without a schema', () => {
    const loaded = load(withWorkflow)
    expect(JSON.parse(JSON.stringify(loaded.rules))).toEqual(rules)
    expect(Object.isFrozen(loaded.rules.refund.intent)).toBe(true)
    expect(checkedParser.parseRule(loaded.rules.refund)).toBe(loaded.rules.refund)
  })

  test.each([
    ['a misspelt key', { refund: { scpoe: 'refunds' } }, /refund\.scpoe: is not a key here; did you mean/],
    ['a workflow that is not there', { refund: { intent: { workflow: 'rfund' } } }, /"rfund" is not in the/],
    [
      'a function',
      { refund: { limit: { per: 'agent', max: 1, cost: () => 1 } } },
      /has a function as its cost/,
    ],
    ['a list', [{ scope: 'refunds' }], /must be an object/],
  ])('are not emitted with %s', (_, wrong, message) => {
    expect(() => emitPolicy(withWorkflow, wrong)).toThrow(message)
  })

  test('that were changed, or copied, or that are no rule, are refused', () => {
    const { policy: own, digest, data, rules: checked } = load(withWorkflow)
    expect(() => checkedRules(own, digest, { ...data, refund: {} })).toThrow(
      /changed after they were checked/,
    )
    expect(() => checkedRules(withWorkflow, digest, data)).toThrow(/changed after they were checked/)
    expect(() => checkedParser.parseRule({ ...checked.refund })).toThrow(/is not checked/)
    expect(() => checkedParser.parseRule(own)).toThrow(/is not checked/)
    expect(() => checkedParser.parsePolicy(checked.refund)).toThrow(/is not checked/)
  })

  test('apply with the policy that they were checked with, and with no other', () => {
    const { policy: own, rules: checked } = load(withWorkflow)
    const problemsWith = (each: Policy) => {
      const problems: string[] = []
      const rule = checkedParser.parseRule(checked.refund)
      findHandlerRuleProblems(rule, compilePolicy(each).ruleContext, (_path, message) =>
        problems.push(message),
      )
      return problems
    }
    expect(problemsWith(own)).toEqual([])
    expect(problemsWith(load({ ...policy, workflows: { refund: { steps: ['pay'] } } }).policy)).toEqual([
      expect.stringContaining('was checked with another policy'),
    ])
    expect(problemsWith(withWorkflow)).toHaveLength(1)
  })
})

test('a wrong policy is not emitted', () => {
  expect(() => emitPolicy({ ...policy, routes: { 'GET /x': { scpoe: 'x' } as never } })).toThrow(PolicyError)
})

test('a policy that was changed since is refused, and one that another version has checked', () => {
  const [version, digest, data] = emitted(emitPolicy(policy))
  const opened = { ...data, routes: { ...data.routes, 'GET /admin': 'public' as const } }
  expect(() => checkedPolicy(version, digest, opened)).toThrow(/was changed after it was checked: run/)
  expect(() => checkedPolicy('0.0.1', digest, data)).toThrow(/was checked by ajwt 0\.0\.1, and this is/)
})

test('without a schema, everything that is not checked is refused', () => {
  expect(() => checkedParser.parsePolicy(policy)).toThrow(/is not checked: pass the module/)
  const checked = checkedPolicy(...emitted(emitPolicy(policy)))
  // A copy is another policy: nobody knows what was changed in it.
  expect(() => checkedParser.parsePolicy({ ...checked })).toThrow(/is not checked/)
  expect(() => checkedParser.parsePolicy(undefined)).toThrow(/is not checked/)
  expect(() => checkedParser.parseRule({ scope: 'orders:read' })).toThrow(/write it in routes of the policy/)
  expect(() => createResolver()).toThrow(/^.*options\.resolveIssuer: cannot be used in a bundle/s)
})
