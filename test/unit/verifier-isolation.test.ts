import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../fixtures/conformance/policy.js'
import { AUDIENCE, agentKeys, createKit, ISSUER } from '../../fixtures/kit.js'
import { createVerifier, type VerifyRequest } from '../../src/index.js'

describe('a policy that changes later', () => {
  test('A285 later changes of the objects and lists of the application have no effect', async () => {
    const kit = createKit()
    const policy = defaultPolicy()
    const audience = [AUDIENCE]
    const scope = ['orders:read']
    const routes: Record<string, object | string> = {
      'GET /orders/:id': { scope },
      'GET /me': 'authenticated',
    }
    const types = ['at+jwt']
    const options = { now: () => kit.now, replayStore: { remember: () => true } }
    const verifier = createVerifier({ ...policy, audience, routes, token: { types } } as never, options)

    audience.push('https://attacker.example')
    scope.length = 0
    types.push('JWT')
    routes['GET /me'] = 'public'
    routes['GET /new'] = 'public'
    delete routes['GET /orders/:id']
    options.now = () => Number.NaN
    options.replayStore = { remember: () => false as true }

    const outcomeOf = async (request: VerifyRequest) => {
      const decision = await verifier.verify(request)
      return 'code' in decision ? decision.code : decision.outcome
    }
    const call = (over: Parameters<typeof kit.call>[0]) => {
      const { method, url, headers } = kit.call(over)
      return { method, url, headers: Object.fromEntries(headers) }
    }
    expect(await outcomeOf(call({ token: { claims: { aud: 'https://attacker.example' } } }))).toBe(
      'audience_mismatch',
    )
    expect(await outcomeOf(call({ token: { claims: { scope: '' } } }))).toBe('scope_insufficient')
    expect(await outcomeOf(call({ token: { header: { typ: 'JWT' } } }))).toBe('token_type_not_allowed')
    expect(await outcomeOf({ method: 'GET', url: '/me', headers: {} })).toBe('credentials_missing')
    expect(await outcomeOf({ method: 'GET', url: '/new', headers: {} })).toBe('credentials_missing')
    expect(await outcomeOf(call({}))).toBe('allow')
  })

  test('A285 the policy of the verifier cannot be changed', () => {
    const verifier = createVerifier(defaultPolicy())
    expect(() => Object.assign(verifier.policy, { mode: 'observe' })).toThrow(TypeError)
    expect(() => Object.assign(verifier.policy.routes, { 'GET /new': 'public' })).toThrow(TypeError)
    expect(() => Object.assign(verifier, { verify: async () => ({ outcome: 'public' }) })).toThrow(TypeError)
  })
})

/** Members that a bug of the application or of a dependency may have put on every object. */
const pollution: Record<string, unknown> = {
  scope: 'admin orders:read',
  algorithms: ['none', 'HS256'],
  alg: 'none',
  jkt: agentKeys.eight.thumbprint,
  cnf: { jkt: agentKeys.eight.thumbprint },
  intent: { executed_by: 'agent-7' },
  agent_proof: { agent_checksum: 'x', registration_id: 'x' },
  jwk: agentKeys.eight.jwk,
  kid: 'as-es256',
  typ: 'at+jwt',
  exp: 9_999_999_999,
  aud: AUDIENCE,
  sub: 'agent-7',
  jti: 'polluted',
  ath: 'polluted',
  anonymous: true,
  mode: 'observe',
  required: false,
  profile: 'oauth',
  unmatched: 'public',
  preflight: true,
  authorization: 'DPoP x',
  dpop: 'x',
  'GET /nowhere': 'public',
}

describe('a polluted Object.prototype', () => {
  const root = Object.prototype as unknown as Record<string, unknown>

  afterEach(() => {
    for (const name of [...Object.keys(pollution), 'routing']) delete root[name]
  })

  const requests = (): VerifyRequest[] => {
    const kit = createKit()
    const overrides: Parameters<typeof kit.call>[0][] = [
      {},
      { token: { claims: { scope: undefined } } },
      { token: { claims: { cnf: undefined } } },
      { token: { claims: { cnf: {} } } },
      { token: { claims: { exp: undefined } } },
      { token: { claims: { intent: undefined } } },
      { token: { claims: { agent_proof: undefined } } },
      { token: { claims: { aud: undefined } } },
      { token: { claims: { jti: undefined } } },
      { token: { claims: { sub: undefined } } },
      { token: { header: { typ: undefined } } },
      { token: { header: { alg: undefined } } },
      { token: { header: { kid: 'other' } } },
      { proof: { key: agentKeys.eight } },
      { proof: { header: { jwk: undefined } } },
      { proof: { claims: { ath: undefined } } },
      { proof: null },
      { path: '/nowhere' },
      { path: '/admin/1' },
    ]
    const bare = { method: 'GET', url: '/orders/42', headers: {} }
    return [
      ...overrides.map((over) => {
        const { method, url, headers } = kit.call(over)
        return { method, url, headers: Object.fromEntries(headers) }
      }),
      bare,
      { ...bare, url: '/nowhere' },
      { ...bare, url: '/health' },
      { ...bare, method: 'OPTIONS' },
    ]
  }

  async function outcomes(
    asked: readonly VerifyRequest[],
    make: () => ReturnType<typeof createVerifier>,
  ): Promise<string[]> {
    const verifier = make()
    const found: string[] = []
    for (const request of asked) {
      const decision = await verifier.verify(request)
      found.push('code' in decision ? `${decision.outcome} ${decision.code}` : decision.outcome)
    }
    return found
  }

  const make = () => createVerifier(defaultPolicy(), { now: () => createKit().now })

  test('A288 does not change decisions, polluted before or after the verifier is made', async () => {
    const asked = requests()
    const honest = await outcomes(asked, make)
    expect(honest[0]).toBe('allow')
    expect(new Set(honest).size).toBeGreaterThan(8)

    const madeBefore = make()
    Object.assign(root, pollution)
    expect(await outcomes(asked, () => madeBefore)).toEqual(honest)
    expect(await outcomes(asked, make)).toEqual(honest)
  })

  test('A288 does not change the route of a request', async () => {
    const asked = requests()
    const honest = await outcomes(asked, make)
    root.routing = { path: '/health', caseSensitive: false, strict: false, wildcardMatchesEmpty: false }
    expect(await outcomes(asked, make)).toEqual(honest)
  })
})

describe('close', () => {
  test('A290 denies later requests with 503', async () => {
    const kit = createKit()
    const verifier = createVerifier(defaultPolicy(), { now: () => kit.now })
    const { method, url, headers } = kit.call()
    const request = () => ({ method, url, headers: Object.fromEntries(headers) })
    verifier.close()
    const decision = await verifier.verify(request())
    expect(decision).toMatchObject({ outcome: 'deny', status: 503, error: 'temporarily_unavailable' })
    expect(() => verifier.close()).not.toThrow()
  })

  test('A290 ends a running fetch of keys, and no request waits for it', async () => {
    // Takes the request, and never answers.
    const server = createServer(() => {})
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const asked = new Promise<void>((resolve) => server.once('request', () => resolve()))
    try {
      const kit = createKit()
      const verifier = createVerifier(
        {
          ...defaultPolicy(),
          issuer: { url: ISSUER, jwksUri: `http://127.0.0.1:${port}/jwks`, keys: { timeout: 60 } },
        },
        { now: () => kit.now },
      )
      const { method, url, headers } = kit.call()
      const pending = verifier.verify({ method, url, headers: Object.fromEntries(headers) })
      await asked
      verifier.close()
      expect(await pending).toMatchObject({ outcome: 'deny', status: 503 })
      expect(await verifier.ready()).toMatchObject({ ready: false })
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })
})
