import { describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../../fixtures/conformance/policy.js'
import { delegatedToken, mintChain, shortHash } from '../../../fixtures/delegation-kit.js'
import { createKit, type Kit } from '../../../fixtures/kit.js'
import {
  createMiddlewareCore,
  createRuleMiddleware,
  type MiddlewareResult,
} from '../../../middleware/core.js'
import { createVerifier, type Policy, type RouteRule } from '../../../src/index.js'

/** Sends requests through the middleware of a policy, then the rules of a handler. */
function createHandler(kit: Kit, policy: Partial<Policy>, ...handlerRules: RouteRule[]) {
  const core = createMiddlewareCore(createVerifier({ ...defaultPolicy(), ...policy }, { now: () => kit.now }))
  const rules = handlerRules.map((rule) => createRuleMiddleware(rule))
  return async (token: string): Promise<string> => {
    const request = kit.call({ token })
    const headers = new Headers(request.headers.map(([name, value]) => [name, value]))
    const source = {}
    const results = [await core.pass(source, { method: request.method, url: request.url, headers })]
    for (const rule of rules) {
      if (results.at(-1)?.kind === 'continue') results.push(await rule(source, { id: '42' }))
    }
    return outcomeOf(results.at(-1) as MiddlewareResult)
  }
}

const outcomeOf = (result: MiddlewareResult) =>
  result.kind === 'continue' ? 'continue' : (JSON.parse(result.answer.body) as { code: string }).code

const onceInPolicy = { routes: { 'GET /orders/:id': { once: true } } }
const open = { routes: { 'GET /orders/:id': 'authenticated' } } as const

describe('a single-use token', () => {
  test.each<[string, Partial<Policy>, RouteRule[]]>([
    ['the policy alone', onceInPolicy, []],
    ['the handler alone', open, [{ once: true }]],
    ['policy and handler', onceInPolicy, [{ once: true }]],
    ['two rules of the handler', open, [{ once: true }, { once: true }]],
    ['the second rule of the handler', open, [{ scope: 'orders:read' }, { once: true }]],
  ])('is consumed by one request, once for all its rules: %s', async (_, policy, rules) => {
    const kit = createKit()
    const call = createHandler(kit, policy, ...rules)
    const token = kit.token()
    expect(await call(token)).toBe('continue')
    expect(await call(token)).toBe('token_reused')
    expect(await call(kit.token())).toBe('continue')
  })

  test('is not consumed by a handler whose rule does not hold', async () => {
    const kit = createKit()
    const token = kit.token()
    const call = createHandler(kit, open, { once: true, claims: { '/order': { param: 'id' } } })
    expect(await call(token)).toBe('claim_not_allowed')
    expect(await call(kit.token({ claims: { order: '42' } }))).toBe('continue')
  })
})

describe("a handler's rule on the delegation", () => {
  test.each<[string, RouteRule['delegation'], string]>([
    ['required', { required: true }, 'continue'],
    ['as deep as allowed', { maxDepth: 3 }, 'continue'],
    ['deeper than allowed', { maxDepth: 2 }, 'delegation_not_allowed'],
    ['of the initiator', { initiators: ['supervisor'] }, 'continue'],
    ['of another initiator', { initiators: ['planner'] }, 'delegation_not_allowed'],
    ['listed', { chains: [['supervisor', 'planner', 'researcher', 'agent-7']] }, 'continue'],
    ['not listed', { chains: [['supervisor', 'agent-7']] }, 'delegation_not_allowed'],
  ])('checks the signed chain: %s', async (_, delegation, outcome) => {
    const kit = createKit()
    const call = createHandler(kit, open, { delegation: delegation as NonNullable<RouteRule['delegation']> })
    expect(await call(delegatedToken(kit, await mintChain(kit)))).toBe(outcome)
  })

  test('does not allow a chain that the policy does not list', async () => {
    const kit = createKit()
    const listed = { delegation: { chains: [['planner', 'agent-7']] } }
    const intent = kit.intent({ delegation_chain: shortHash('planner', 'agent-7'), initiated_by: 'planner' })
    const token = () => kit.token({ claims: { intent } })
    expect(await createHandler(kit, open, listed)(token())).toBe('delegation_not_allowed')
    const policy = { routes: { 'GET /orders/:id': listed } }
    expect(await createHandler(kit, policy, listed)(token())).toBe('continue')
    expect(await createHandler(kit, policy, { delegation: { maxDepth: 0 } })(token())).toBe(
      'delegation_not_allowed',
    )
  })
})

describe("an enforced handler's rule with anonymous", () => {
  const rule: RouteRule = { anonymous: true, scope: 'orders:read', mode: 'enforce' }
  const expired = (kit: Kit) =>
    kit.token({ claims: { iat: Math.floor(kit.now / 1000) - 120, exp: Math.floor(kit.now / 1000) - 60 } })

  test.each<[string, Partial<Policy>]>([
    ['a policy that observes', { mode: 'observe' }],
    ['a route that observes', { routes: { 'GET /orders/:id': { mode: 'observe' } } }],
    ['a public route', { routes: { 'GET /orders/:id': 'public' } }],
  ])('denies an expired token after %s', async (_, policy) => {
    const kit = createKit()
    expect(await createHandler(kit, policy, rule)(expired(kit))).toBe('credentials_missing')
  })
})

test("a handler's rule is enforced if its route is, in a policy with mode observe", async () => {
  const kit = createKit()
  const routes = (mode: 'enforce' | 'observe') => ({ 'GET /orders/:id': { mode } })
  const call = (policy: Partial<Policy>) => createHandler(kit, policy, { scope: 'admin' })(kit.token())
  expect(await call({ mode: 'observe', routes: routes('enforce') })).toBe('scope_insufficient')
  expect(await call({ mode: 'observe', routes: routes('observe') })).toBe('continue')
  expect(await call({ mode: 'enforce', routes: routes('observe') })).toBe('scope_insufficient')
})

describe('a request without a grant at a rule of its handler', () => {
  const foreign: Policy['routes'] = { 'GET /orders/:id': { anonymous: 'foreign' } }
  const basic = { authorization: 'Basic YTpi' }

  test.each<[what: string, headers: Record<string, string>, rule: RouteRule, expected: string]>([
    ['none, where it lets none through', {}, { anonymous: true }, 'continue'],
    ['none, where it lets foreign ones through', {}, { anonymous: 'foreign' }, 'continue'],
    ['foreign ones, where it lets them through', basic, { anonymous: 'foreign' }, 'continue'],
    ['foreign ones, where it lets only none through', basic, { anonymous: true }, 'credentials_missing'],
    ['foreign ones, where it says nothing', basic, { scope: 'orders:read' }, 'credentials_missing'],
    ['none, where it says nothing', {}, { scope: 'orders:read' }, 'credentials_missing'],
  ])('credentials: %s', async (_, headers, rule, expected) => {
    const core = createMiddlewareCore(createVerifier({ ...defaultPolicy(), routes: foreign }))
    const source = {}
    const request = { method: 'GET', url: '/orders/42', headers: new Headers(headers) }
    expect(outcomeOf(await core.pass(source, request))).toBe('continue')
    expect(outcomeOf(await createRuleMiddleware(rule)(source, { id: '42' }))).toBe(expected)
  })
})
