import { describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../fixtures/conformance/policy.js'
import { createKit, type Kit, plainRequest, type WireRequest } from '../../fixtures/kit.js'
import {
  AjwtDenial,
  createVerifier,
  type Decision,
  type DecisionFacts,
  type Policy,
  PolicyError,
  type RouteRule,
  type VerifierOptions,
} from '../../src/index.js'

const routes = {
  'GET /orders/:id': { scope: 'orders:read' },
  'GET /open': 'public',
  'GET /feed': { anonymous: true },
  'GET /once': { once: true },
  'GET /watched': { scope: 'orders:none', mode: 'observe' },
} as const

function setUp(policy: Partial<Policy> = {}, options: VerifierOptions = {}) {
  const kit = createKit()
  const told: [Decision, DecisionFacts][] = []
  const verifier = createVerifier(
    { ...defaultPolicy(), routes, ...policy },
    { now: () => kit.now, onDecision: (...all) => void told.push(all), ...options },
  )
  const decide = ({ method, url, headers }: WireRequest) =>
    verifier.verify({ method, url, headers: new Headers(headers.map(([name, value]) => [name, value])) })
  const codeOf = async (decision: Decision, rule: RouteRule, params?: object) =>
    (await verifier.check(decision, rule, params))?.code
  return { kit, verifier, decide, codeOf, told }
}

function call(kit: Kit, path: string, claims: Record<string, unknown> = {}): WireRequest {
  return kit.call({ path, token: { claims } })
}

describe('check, on a decision that let somebody in', () => {
  test('is undefined where the rule holds, and else the denial as it is sent', async () => {
    const { kit, verifier, decide, codeOf } = setUp()
    const decision = await decide(call(kit, '/orders/42', { scope: 'orders:read' }))
    expect(decision.outcome).toBe('allow')
    expect(await codeOf(decision, {})).toBeUndefined()
    expect(await codeOf(decision, { scope: 'orders:read' })).toBeUndefined()
    const denial = await verifier.check(decision, { scope: 'orders:delete' })
    expect(denial).toMatchObject({ outcome: 'deny', code: 'scope_insufficient', status: 403, stage: 'rule' })
    expect(denial).toBeInstanceOf(AjwtDenial)
    expect(denial?.headers['www-authenticate']).toContain('scope="orders:read orders:delete"')
    expect(verifier.respond(denial as Decision)?.status).toBe(403)
    expect(await codeOf(decision, { agents: ['another-agent'] })).toBe('agent_not_allowed')
  })

  test('compares claims with the parameters that it is given, or with those of the route', async () => {
    const { kit, decide, codeOf } = setUp()
    const decision = await decide(call(kit, '/orders/42', { order_id: '42' }))
    const rule: RouteRule = { claims: { '/order_id': { param: 'id' } } }
    expect(await codeOf(decision, rule)).toBeUndefined()
    expect(await codeOf(decision, rule, { id: '42' })).toBeUndefined()
    expect(await codeOf(decision, rule, { id: '43' })).toBe('claim_not_allowed')
    expect(await codeOf(decision, rule, { id: ['42'] })).toBe('claim_not_allowed')
    expect(await codeOf(decision, rule, {})).toBe('claim_not_allowed')
  })

  test('refuses a token that has expired meanwhile', async () => {
    const { kit, decide, codeOf } = setUp()
    const decision = await decide(call(kit, '/orders/42'))
    expect(await codeOf(decision, {})).toBeUndefined()
    kit.now += 10 * 60_000
    expect(await codeOf(decision, {})).toBe('token_expired')
  })

  test('uses a token up once a request, also where two rules are checked at the same time', async () => {
    const { kit, decide, codeOf } = setUp()
    const token = kit.token()
    const [first, second] = [
      await decide(kit.call({ path: '/orders/42', token })),
      await decide(kit.call({ path: '/orders/42', token })),
    ]
    const rules: RouteRule[] = [{ once: true }, { once: true }, { once: true, scope: 'orders:read' }]
    expect(await Promise.all(rules.map((rule) => codeOf(first, rule)))).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    expect(await codeOf(second, { once: true })).toBe('token_reused')
    expect(await codeOf(second, { once: true })).toBe('token_reused')
    const onOnce = await decide(call(kit, '/once'))
    expect(await codeOf(onOnce, { once: true })).toBeUndefined()
  })

  test('an observed rule denies nothing, and is reported', async () => {
    const { kit, decide, codeOf, told } = setUp()
    const decision = await decide(call(kit, '/orders/42'))
    expect(await codeOf(decision, { scope: 'orders:delete', mode: 'observe' })).toBeUndefined()
    expect(told.map(([{ outcome }, { overrules }]) => [outcome, overrules])).toEqual([
      ['allow', undefined],
      ['observe', 'allow'],
    ])
  })

  test('is closed with the verifier', async () => {
    const { kit, verifier, decide, codeOf } = setUp()
    const decision = await decide(call(kit, '/orders/42'))
    verifier.close()
    expect(await codeOf(decision, {})).toBe('internal_error')
  })
})

describe('check, without a grant', () => {
  test('misses the credentials of a request that is public, anonymous, or only observed', async () => {
    const { decide, codeOf } = setUp()
    const open = await decide(plainRequest('GET', '/open'))
    expect(open.outcome).toBe('public')
    expect(await codeOf(open, {})).toBe('credentials_missing')
    const feed = await decide(plainRequest('GET', '/feed'))
    expect(feed.outcome).toBe('anonymous')
    expect(await codeOf(feed, {})).toBe('credentials_missing')
    expect(await codeOf(feed, { anonymous: true })).toBeUndefined()
    expect(await codeOf(open, { anonymous: true })).toBe('credentials_missing')
    const watched = await decide(plainRequest('GET', '/watched'))
    expect(watched.outcome).toBe('observe')
    expect(await codeOf(watched, {})).toBeUndefined()
    expect(await codeOf(watched, { mode: 'enforce' })).toBe('credentials_missing')
  })

  test('gives a denial back', async () => {
    const { verifier, decide } = setUp()
    const denial = await decide(plainRequest('GET', '/orders/42'))
    expect(await verifier.check(denial, {})).toMatchObject(denial)
  })
})

test('a decision that this verifier did not make is refused', async () => {
  const { kit, verifier, decide } = setUp()
  const decision = await decide(call(kit, '/orders/42'))
  const other = setUp()
  const foreign = await other.decide(call(other.kit, '/orders/42'))
  const forged: unknown[] = [{ ...decision }, foreign, Object.create(decision), { outcome: 'public' }, {}]
  for (const one of [...forged, undefined, null, 'allow']) {
    await expect(verifier.check(one as Decision, {})).rejects.toThrow(TypeError)
  }
})

test('a rule that is wrong is a PolicyError', async () => {
  const { kit, verifier, decide } = setUp()
  const decision = await decide(call(kit, '/orders/42'))
  for (const rule of [
    { scopes: 'orders:read' },
    { delegation: { maxDepth: -1 } },
    'public',
    null,
    undefined,
  ]) {
    await expect(verifier.check(decision, rule as RouteRule)).rejects.toThrow(PolicyError)
  }
})
