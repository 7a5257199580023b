import { Hono } from 'hono'
import { describe, expect, test, vi } from 'vitest'
import { defaultPolicy } from '../../fixtures/conformance/policy.js'
import { delegatedToken, mintChain, oneHop, parties } from '../../fixtures/delegation-kit.js'
import {
  AUDIENCE,
  agentKeys,
  createKit,
  ISSUER,
  issuerJwks,
  issuerKeys,
  plainRequest,
  published,
  type TestKey,
  type WireRequest,
} from '../../fixtures/kit.js'
import { ajwt } from '../../middleware/hono.js'
import { createVerifier, type Decision, type VerifyRequest } from '../../src/index.js'
import type { Algorithm } from '../../src/jws/algorithms.js'
import type { PublicKey } from '../../src/jws/jwk.js'
import { outcomeOf } from '../support/verify.js'

const kit = createKit()

/** Answers as if the application, or a library of its, had given every object this member. */
async function whilePolluted<T>(name: string, value: unknown, run: () => Promise<T>): Promise<T> {
  Object.defineProperty(Object.prototype, name, {
    value,
    configurable: true,
    enumerable: true,
    writable: true,
  })
  try {
    return await run()
  } finally {
    delete (Object.prototype as Record<string, unknown>)[name]
  }
}

function asRequest({ method, url, headers }: WireRequest): VerifyRequest {
  return { method, url, headers: Object.fromEntries(headers) }
}

const routing = {
  path: '/health',
  method: 'GET',
  caseSensitive: false,
  strict: false,
  wildcardMatchesEmpty: false,
}

/** Members of a prototype that a careless reader would take for own members. */
const words: readonly [name: string, value: unknown][] = [
  ['routing', routing],
  ['method', 'GET'],
  ['path', '/health'],
  ['decoded', true],
  ['access', { kind: { mode: 'observe' }, params: {} }],
  ['access', { kind: 'public', params: {} }],
  ['verified', { token: { sub: 'forged', intent: {} } }],
  ['Authorization', `DPoP ${kit.token({ claims: { scope: 'admin' } })}`],
  ['Dpop', 'x'],
  ['details', { scope: 'forged"scope' }],
  ['mode', 'observe'],
  ['anonymous', true],
  ['outcome', 'allow'],
]

test.each(words)('Object.prototype.%s changes no decision', async (name, value) => {
  const verifier = createVerifier(defaultPolicy(), { now: () => kit.now })
  const closed = createVerifier(defaultPolicy())
  closed.close()
  const token = kit.token()
  const narrow = kit.token({ claims: { scope: '' } })
  const elsewhere = kit.token({
    claims: { scope: 'orders:refund', intent: kit.intent({ workflow_id: 'return' }) },
  })
  const requests = () => [
    asRequest(plainRequest('GET', '/orders/42')),
    asRequest(plainRequest('POST', '/nowhere')),
    asRequest(plainRequest('GET', '/health')),
    asRequest(kit.call({ token })),
    asRequest(kit.call({ token: narrow })),
    asRequest(kit.call({ token: elsewhere, method: 'POST', path: '/orders/42/refund' })),
    asRequest(kit.call({ token, path: '/agents/me' })),
    {
      ...asRequest(plainRequest('GET', '/orders;x/%25zz')),
      routing: { ...routing, path: '/orders;x/%25zz' },
    },
    { ...asRequest(plainRequest('POST', '/health')), routing: { ...routing, method: 'POST' } },
    {
      ...asRequest(plainRequest('GET', '/orders/42')),
      routing: { caseSensitive: false, strict: false, wildcardMatchesEmpty: false },
    },
    asRequest(plainRequest('GET', '/feed')),
  ]
  /** All of a decision but the ids that differ from one token to the next. */
  const told = (decisions: readonly Decision[]) =>
    decisions.map((decision) => (decision.outcome === 'allow' ? decision.grant.agent : decision))
  const ask = async (list: readonly VerifyRequest[]) => {
    const decisions: Decision[] = []
    for (const request of list) decisions.push(await verifier.verify(request))
    for (const request of list) decisions.push(await closed.verify(request))
    return decisions
  }
  const before = JSON.stringify(told(await ask(requests())))
  // Made beforehand: the signing code must not be polluted, too.
  const later = requests()
  const during = await whilePolluted(name, value, () => ask(later))
  expect(JSON.stringify(told(during))).toBe(before)
})

test('a method on Object.prototype does not stand in for the method of a Hono request', async () => {
  const app = new Hono()
  let runs = 0
  app.use(ajwt({ ...defaultPolicy(), routes: { 'GET /x': 'public', 'POST /x': { scope: 'admin' } } }))
  app.post('/x', (c) => {
    runs++
    return c.text('guarded')
  })
  const request = new Request('http://localhost/x', { method: 'POST' })
  const { status } = await whilePolluted('method', 'GET', async () => app.fetch(request))
  expect([status, runs]).toEqual([401, 0])
})

// A verifier must read own members only: an inherited default can be anybody's.
test.each([
  ['jwks', { keys: [published(issuerKeys.stranger)] }],
  ['jwksUri', 'https://evil.example.com/jwks'],
  ['profile', 'oauth'],
  ['anonymous', true],
  ['mode', 'observe'],
])('Object.prototype.%s, there when the verifier is made, changes no decision', async (name, value) => {
  const fetch = async (url: unknown) =>
    String(url) === `${ISSUER}/jwks`
      ? Response.json(issuerJwks())
      : Response.json({ issuer: ISSUER, jwks_uri: `${ISSUER}/jwks` })
  const policy = { ...defaultPolicy(), issuer: ISSUER }
  const verifier = await whilePolluted(name, value, async () =>
    createVerifier(policy, { now: () => kit.now, fetch }),
  )
  const code = async (request: WireRequest) => {
    const decision = await verifier.verify(asRequest(request))
    return 'code' in decision ? [decision.outcome, decision.code] : decision.outcome
  }
  expect(await code(kit.call())).toBe('allow')
  expect(await code(kit.call({ token: { key: issuerKeys.stranger } }))).toEqual(['deny', 'key_not_found'])
  const ordinary = { claims: { intent: undefined, agent_proof: undefined } }
  expect(await code(kit.call({ token: ordinary }))).toEqual(['deny', 'claims_invalid'])
  expect(await code(plainRequest('GET', '/me'))).toEqual(['deny', 'credentials_missing'])
})

const later = Math.floor(kit.now / 1000) + 120

const optionalIntent = [
  'workflow_id',
  'workflow_step',
  'initiated_by',
  'initiator_jkt',
  'step_sequence_hash',
  'intent_hash',
] as const

type Lacking = readonly [name: string, value: unknown, request: () => WireRequest, expected: string]

/**
 * A request that lacks something, or has no need of it; what a prototype has for that; and the verdict all
 * the same.
 */
const lacking: readonly Lacking[] = [
  ...(['sub', 'jti', 'aud', 'iat', 'exp', 'cnf', 'agent_proof', 'intent'] as const).map(
    (name) => [name, inherited(name), () => withoutClaims({ [name]: undefined }), 'claims_invalid'] as const,
  ),
  ['scope', 'orders:read orders:refund', () => withoutClaims({ scope: undefined }), 'scope_insufficient'],
  ['nbf', later, () => kit.call(), 'allow'],
  ...(['acr', 'amr'] as const).map((name) => [name, 7, () => kit.call(), 'allow'] as const),
  ...optionalIntent.map((name) => [name, 7, () => withIntent({ [name]: undefined }), 'allow'] as const),
  ['auth_time', 'never', () => kit.call(), 'allow'],
  ['executed_by', 'agent-7', () => withIntent({ executed_by: undefined }), 'claims_invalid'],
  ['delegation', [], () => kit.call(), 'allow'],
  ['delegation_chain', 'x', () => kit.call(), 'allow'],
  ['jkt', agentKeys.seven.thumbprint, () => withoutClaims({ cnf: {} }), 'claims_invalid'],
  ['jwk', {}, () => kit.call(), 'allow'],
  ['agent_checksum', 'x', () => withoutClaims({ agent_proof: { registration_id: 'r' } }), 'claims_invalid'],
  ['registration_id', 'x', () => withoutClaims({ agent_proof: { agent_checksum: 'c' } }), 'claims_invalid'],
  ...(['jti', 'htm', 'htu', 'ath'] as const).map(
    (name) =>
      [name, 'x', () => kit.call({ proof: { claims: { [name]: undefined } } }), 'proof_malformed'] as const,
  ),
  ['iat', kit.seconds, () => kit.call({ proof: { claims: { iat: undefined } } }), 'proof_malformed'],
  ['exp', 1, () => kit.call(), 'allow'],
  ['use', 'enc', () => kit.call(), 'allow'],
  ['key_ops', [], () => kit.call(), 'allow'],
  ['alg', 'HS256', () => kit.call(), 'allow'],
  ...(['kty', 'crv', 'x', 'y'] as const).map((name) => lackingInKey(agentKeys.seven, name)),
  ...(['e', 'n'] as const).map((name) => lackingInKey(agentKeys.rs256, name)),
  ['alg', 'ES256', () => kit.call({ proof: { header: { alg: undefined } } }), 'proof_malformed'],
  ['typ', 'dpop+jwt', () => kit.call({ proof: { header: { typ: undefined } } }), 'proof_malformed'],
  [
    'jwk',
    agentKeys.seven.jwk,
    () => kit.call({ proof: { header: { jwk: undefined } } }),
    'proof_key_invalid',
  ],
  ['iss', ISSUER, () => withoutClaims({ iss: undefined }), 'issuer_not_trusted'],
  ['kid', 7, () => kit.call({ token: { header: { kid: undefined } } }), 'allow'],
  ['agent_id', 'x', () => withIntent({ workflow_step: { step_id: 's' } }), 'allow'],
  ['tool_name', '', () => withIntent({ workflow_step: { step_id: 's' } }), 'allow'],
  ['step_id', 's', () => withIntent({ workflow_step: { tool_name: 't' } }), 'claims_invalid'],
]

/** A proof whose key lacks a member. */
function lackingInKey(key: TestKey, name: string): Lacking {
  const jwk = { ...key.jwk, [name]: undefined }
  return [name, key.jwk[name], () => kit.call({ proof: { key, header: { jwk } } }), 'proof_key_invalid']
}

function inherited(name: string): unknown {
  const claims = JSON.parse(Buffer.from(kit.token().split('.')[1] as string, 'base64url').toString())
  return claims[name]
}

function withoutClaims(claims: Record<string, unknown>): WireRequest {
  return kit.call({ token: { claims } })
}

function withIntent(claims: Record<string, unknown>): WireRequest {
  return withoutClaims({ intent: { ...kit.intent(), ...claims } })
}

describe('of what a token, a proof or a key says, nothing is inherited', () => {
  test.each(lacking)('%s', async (name, value, request, expected) => {
    const policy = { ...defaultPolicy(), routes: { 'GET /orders/:id': { scope: 'orders:read' } } }
    const [before, during] = [request(), request()].map(asRequest)
    const verify = (sent: VerifyRequest | undefined) =>
      createVerifier(policy, { now: () => kit.now }).verify(sent as VerifyRequest)
    expect(outcomeOf(await verify(before))).toBe(expected)
    expect(outcomeOf(await whilePolluted(name, value, () => verify(during)))).toBe(expected)
  })

  const { thumbprint } = parties.worker.key
  const assertion = { iss: 'supervisor', sub: 'agent-7', cnf: { jkt: thumbprint }, aud: AUDIENCE }
  const times = { iat: kit.seconds - 40, exp: kit.seconds + 310 }
  const required = { ...assertion, scope: 'orders:read', ...times, jti: 'one' }

  test.each<[name: string, value: unknown, claims: Record<string, unknown>, expected: string]>([
    ...Object.entries(required).map(
      ([name, value]) =>
        [name, value, { [name]: undefined }, 'delegation_malformed'] as [
          string,
          unknown,
          Record<string, unknown>,
          string,
        ],
    ),
    ['jkt', thumbprint, { cnf: {} }, 'delegation_malformed'],
    ['workflow_id', 'refund', { workflow_id: undefined }, 'delegation_context_mismatch'],
    ['intent_hash', 'x', {}, 'allow'],
    ['prev', 'x', {}, 'allow'],
    ['nbf', later, {}, 'allow'],
  ])('%s of a delegation assertion', async (name, value, claims, expected) => {
    const policy = { ...defaultPolicy(), routes: { 'GET /orders/:id': { scope: 'orders:read' } } }
    const mint = async () => {
      const chain = await mintChain(kit, oneHop, { 0: { claims } })
      return asRequest(kit.call({ token: delegatedToken(kit, chain, { agents: oneHop }) }))
    }
    const [before, during] = [await mint(), await mint()]
    const verify = (sent: VerifyRequest) => createVerifier(policy, { now: () => kit.now }).verify(sent)
    expect(outcomeOf(await verify(before))).toBe(expected)
    expect(outcomeOf(await whilePolluted(name, value, () => verify(during)))).toBe(expected)
  })

  test('nonce', async () => {
    const policy = { ...defaultPolicy(), proof: { nonce: 'required' as const } }
    const verifier = createVerifier(policy, { now: () => kit.now })
    const [before, during] = [kit.call(), kit.call()].map(asRequest) as [VerifyRequest, VerifyRequest]
    const first = await verifier.verify(before)
    expect(outcomeOf(first)).toBe('proof_nonce_required')
    const nonce = 'headers' in first ? first.headers['dpop-nonce'] : undefined
    expect(nonce).toBeDefined()
    const second = await whilePolluted('nonce', nonce, () => verifier.verify(during))
    expect(outcomeOf(second)).toBe('proof_nonce_required')
  })
})

test('a number on Object.prototype stands in for nothing that a signature is checked with', async () => {
  const [header, payload, signature] = kit.token().split('.') as [string, string, string]
  const honest = `${header}.${payload}`
  const forged = `${header}.${'A'.repeat(payload.length)}`
  for (let index = 0; index < 32; index++) {
    // Its state from one signature to the next is not there yet.
    vi.resetModules()
    const { isSignedBy } = await import('../../src/jws/node-key.js')
    const { importPublicKey } = await import('../../src/jws/jwk.js')
    const { algorithms } = await import('../../src/jws/algorithms.js')
    const key = importPublicKey(issuerKeys.es256.jwk) as PublicKey
    const check = async (input: string) =>
      isSignedBy(key, algorithms.get('ES256') as Algorithm, input, signature)
    expect(await whilePolluted(`${index}`, Buffer.from(honest), () => check(forged))).toBe(false)
    expect(await check(honest)).toBe(true)
  }
})
