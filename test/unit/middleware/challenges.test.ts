import { describe, expect, test } from 'vitest'
import { AUDIENCE, createKit, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import {
  createMiddlewareCore,
  createRuleMiddleware,
  type MiddlewareResult,
} from '../../../middleware/core.js'
import { createVerifier, type Policy, type RouteRule } from '../../../src/index.js'

const kit = createKit()
const now = () => kit.now

const bound: Policy = {
  issuer: { url: ISSUER, jwks: issuerJwks() },
  audience: AUDIENCE,
  routes: {
    'GET /orders/:id': { scope: 'orders:read' },
    'POST /orders/:id': 'authenticated',
    'GET /files/*': { scope: 'files:read' },
    'GET /admin': { scope: ['admin', 'orders:read'] },
    'DELETE /orders/:id': { user: { acr: ['phr'], maxAge: 60 } },
  },
}
const bearerAllowed: Policy = {
  ...bound,
  issuer: { url: ISSUER, jwks: issuerJwks(), profile: 'oauth' },
  proof: { required: false, algorithms: ['ES256', 'EdDSA'] },
}

const metadata = `resource_metadata="${AUDIENCE}/.well-known/oauth-protected-resource"`
const algs = 'algs="ES256 EdDSA"'
const unbound = (claims: Record<string, unknown> = {}) => kit.token({ claims: { cnf: undefined, ...claims } })

async function challengeOf(policy: Policy, over: Parameters<typeof kit.call>[0], isBare = false) {
  const { method, url, headers } = kit.call(over)
  const decision = await createVerifier(policy, { now }).verify({
    method,
    url,
    headers: isBare ? {} : Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value])),
  })
  return decision.outcome === 'deny'
    ? [decision.status, decision.code, decision.headers['www-authenticate']]
    : [decision.outcome]
}

describe('where Bearer is allowed, its challenge comes first', () => {
  const expired = { exp: Math.floor(kit.now / 1000) - 60, iat: Math.floor(kit.now / 1000) - 120 }
  const insufficient =
    'error="insufficient_scope", error_description="The access token lacks a scope that this request needs.", ' +
    'scope="admin orders:read"'
  const invalid = 'error="invalid_token", error_description="The access token has expired."'
  const stepUp =
    'error="insufficient_user_authentication", error_description="The user behind this request must authenticate again ' +
    'or with a stronger method.", acr_values="phr", max_age="60"'
  const proofMissing = 'error="invalid_dpop_proof", error_description="The DPoP header is missing."'

  test('with the scopes to come with, where there are no credentials', async () => {
    expect(await challengeOf(bearerAllowed, {}, true)).toEqual([
      401,
      'credentials_missing',
      `Bearer scope="orders:read", ${metadata}, DPoP scope="orders:read", ${algs}, ${metadata}`,
    ])
  })

  test('with the scopes that are missing', async () => {
    const call = { path: '/admin', token: unbound(), scheme: 'Bearer', proof: null }
    expect(await challengeOf(bearerAllowed, call)).toEqual([
      403,
      'scope_insufficient',
      `Bearer ${insufficient}, ${metadata}, DPoP ${insufficient}, ${algs}, ${metadata}`,
    ])
  })

  test('with what is wrong with the token', async () => {
    expect(
      await challengeOf(bearerAllowed, { token: unbound(expired), scheme: 'Bearer', proof: null }),
    ).toEqual([401, 'token_expired', `Bearer ${invalid}, ${metadata}, DPoP ${invalid}, ${algs}, ${metadata}`])
  })

  test('with the step-up that is needed', async () => {
    const call = { method: 'DELETE', token: unbound(), scheme: 'Bearer', proof: null }
    expect(await challengeOf(bearerAllowed, call)).toEqual([
      401,
      'user_authentication_required',
      `Bearer ${stepUp}, ${metadata}, DPoP ${stepUp}, ${algs}, ${metadata}`,
    ])
  })

  test('without what is wrong with a proof', async () => {
    expect(await challengeOf(bearerAllowed, { proof: null })).toEqual([
      401,
      'proof_missing',
      `Bearer ${metadata}, DPoP ${proofMissing}, ${algs}, ${metadata}`,
    ])
  })

  test('and where it is not, there is none', async () => {
    const [, , challenge] = await challengeOf(bound, {}, true)
    expect(challenge).toMatch(/^DPoP scope="orders:read", algs="[^"]+", resource_metadata="[^"]+"$/)
  })
})

describe('scheme Bearer beside a DPoP field', () => {
  test('with a bound token: the challenge says that a proof is required', async () => {
    for (const policy of [bound, bearerAllowed]) {
      const [status, code, challenge] = await challengeOf(policy, { scheme: 'Bearer' })
      expect([status, code]).toEqual([401, 'proof_required'])
      expect(challenge).toMatch(/DPoP error="invalid_token", error_description="A DPoP-bound access token/)
    }
  })

  test('with an unbound token: the field means nothing', async () => {
    const call = { token: unbound(), scheme: 'Bearer' }
    expect(await challengeOf(bearerAllowed, call)).toEqual(['allow'])
    expect(await challengeOf(bearerAllowed, { ...call, proof: 'no proof' })).toEqual(['allow'])
    const two = { ...call, headers: [['DPoP', 'another']] } as const
    expect(await challengeOf(bearerAllowed, two)).toEqual(['allow'])
  })
})

describe('the scopes that a challenge names', () => {
  /** Requests that meet the policy, and rules of their handler, on the way. */
  function way(policy: Policy, ...rules: RouteRule[]) {
    const core = createMiddlewareCore(createVerifier(policy, { now }))
    const ruleGates = rules.map((rule) => createRuleMiddleware(rule))
    return async (over: Parameters<typeof kit.call>[0] | 'bare', method = 'GET', path = '/orders/42') => {
      const call = over === 'bare' ? { headers: [] } : kit.call({ method, path, ...over })
      const source = {}
      const headers = Object.fromEntries(call.headers.map(([name, value]) => [name.toLowerCase(), value]))
      let passage: MiddlewareResult = await core.pass(source, { method, url: path, headers })
      for (const rule of ruleGates)
        if (passage.kind === 'continue') passage = await rule(source, { id: '42' })
      if (passage.kind === 'continue') return 'continue'
      return /scope="([^"]*)"/.exec(passage.answer.headers['www-authenticate'] ?? '')?.[1]
    }
  }
  const scoped = (scope: string) => ({ token: kit.token({ claims: { scope } }) })

  test("are those of the route's rule and of the handler's", async () => {
    const call = way(bound, { scope: 'orders:refund' })
    expect(await call(scoped('orders:read'))).toBe('orders:read orders:refund')
    expect(await call(scoped('orders:read orders:refund'))).toBe('continue')
  })

  test('from the start, once a request has shown which rules stand behind the route', async () => {
    const call = way(bound, { scope: 'orders:refund' }, { scope: ['orders:read', 'audit'] })
    expect(await call('bare')).toBe('orders:read')
    expect(await call(scoped('orders:read orders:refund audit'))).toBe('continue')
    const all = 'orders:read orders:refund audit'
    expect(await call('bare')).toBe(all)
    expect(await call(scoped('other'))).toBe(all)
    expect(await call(scoped('orders:read'))).toBe(all)
    // Another method of the path is another handler.
    expect(await call('bare', 'POST')).toBeUndefined()
  })

  test('are those of the handler alone where the route asks for none', async () => {
    const call = way(bound, { scope: 'orders:refund' })
    expect(await call(scoped('x'), 'POST')).toBe('orders:refund')
    expect(await call('bare', 'POST')).toBe('orders:refund')
  })

  test('are learned neither from rules that only observe nor for a route of many handlers', async () => {
    const observing = way(bound, { scope: 'orders:refund', mode: 'observe' })
    expect(await observing(scoped('orders:read'))).toBe('continue')
    expect(await observing('bare')).toBe('orders:read')
    const many = way(bound, { scope: 'files:secret' })
    expect(await many(scoped('files:read'), 'GET', '/files/a')).toBe('files:read files:secret')
    expect(await many('bare', 'GET', '/files/b')).toBe('files:read')
  })
})
