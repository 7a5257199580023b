import { describe, expect, it } from 'vitest'
import { AUDIENCE, type CallOverrides, createKit, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import {
  type Cause,
  createVerifier,
  type DecisionFacts,
  type Policy,
  type VerifierOptions,
} from '../../../src/index.js'

const policy: Policy = {
  issuer: { url: ISSUER, jwks: issuerJwks(), profile: 'oauth' },
  audience: AUDIENCE,
  routes: { 'GET /orders/:id': { scope: 'orders:read' } },
}

/** The facts of one refused request with these claims. */
function factsOf(claims: Record<string, unknown>, over: Partial<Policy> = {}, options: VerifierOptions = {}) {
  return factsOfCall({ token: { claims } }, over, options)
}

async function factsOfCall(
  call: CallOverrides,
  over: Partial<Policy> = {},
  options: VerifierOptions = {},
): Promise<DecisionFacts | undefined> {
  const kit = createKit()
  const facts: DecisionFacts[] = []
  const onDecision: VerifierOptions['onDecision'] = (_, told) => void facts.push(told)
  const verifier = createVerifier({ ...policy, ...over }, { now: () => kit.now, ...options, onDecision })
  const { method, url, headers } = kit.call(call)
  await verifier.verify({ method, url, headers: Object.fromEntries(headers) })
  return facts[0]
}

describe('facts.cause', () => {
  it.each<[string, Record<string, unknown>, Partial<Cause>]>([
    ['a missing jti', { jti: undefined }, { claim: 'jti', found: 'nothing' }],
    ['an empty sub', { sub: '' }, { claim: 'sub' }],
    ['a scope that is an object', { scope: {} }, { claim: 'scope', found: 'an object' }],
    ['a cnf that cannot be checked', { cnf: { kid: 'x' } }, { claim: 'cnf' }],
    [
      'another audience',
      { aud: 'https://other.example' },
      { claim: 'aud', expected: AUDIENCE, found: 'https://other.example' },
    ],
    [
      'a lacking scope',
      { scope: 'orders:write' },
      { claim: 'scope', expected: 'orders:read', found: 'orders:write' },
    ],
  ])('names the claim: %s', async (_, claims, expected) => {
    expect((await factsOf(claims))?.cause).toMatchObject(expected)
  })

  it('says that an issuer differs by a trailing slash, and that the value is unverified', async () => {
    const facts = await factsOf({ iss: `${ISSUER}/` })
    expect(facts?.cause).toMatchObject({
      claim: 'iss',
      expected: ISSUER,
      found: `${ISSUER}/`,
      unverified: true,
    })
    expect(facts?.cause?.reason).toMatch(/trailing slash/)
    expect(facts?.agent).toBeUndefined()
  })

  it('has the message of a store that fails, and nothing of it in the answer', async () => {
    const revocations = { isRevoked: () => Promise.reject(new Error('connect ECONNREFUSED 127.0.0.1:6379')) }
    const facts = await factsOf({}, {}, { revocations })
    expect(facts?.cause?.reason).toBe('connect ECONNREFUSED 127.0.0.1:6379')
    const replayStore = {
      remember: () => {
        throw new Error('READONLY You can\u2019t write against a read only replica.\n')
      },
    }
    expect((await factsOf({}, {}, { replayStore }))?.cause?.reason).toMatch(/^READONLY .*replica\.\ufffd$/)
  })

  it.each([
    ['behind an underscore', '/_TOKEN'],
    ['with encoded dots', '/ENCODED'],
    ['of a header that has line breaks', '/BROKEN'],
  ])('has no token that a caller has put into the path: %s', async (_, path) => {
    const kit = createKit()
    const token = kit.token()
    const broken = `${Buffer.from('{\n  "alg": "ES256"\n}').toString('base64url')}.e30.c2lnbmF0dXJl`
    const url = path
      .replace('TOKEN', token)
      .replace('ENCODED', token.replaceAll('.', '%2E'))
      .replace('BROKEN', broken)
    const { found } = (await factsOfCall({ path: url }))?.cause ?? {}
    expect(found).toMatch(/^GET \/_?\[JWS\]$/)
  })

  it('has the htu of a proof without its query and user', async () => {
    const htu = 'https://me:secret@other.example/orders/42?api_key=secret#secret'
    const { cause } = (await factsOfCall({ proof: { htu } })) ?? {}
    expect(cause).toMatchObject({ claim: 'htu', found: 'https://other.example/orders/42', unverified: true })
  })

  it('names the agent as soon as the signature is verified', async () => {
    expect((await factsOf({ jti: undefined }))?.agent).toBe('agent-7')
    expect((await factsOf({ aud: 'https://other.example' }))?.agent).toBe('agent-7')
    expect((await factsOf({ exp: 1 }))?.agent).toBe('agent-7')
  })
})
