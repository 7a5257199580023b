import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  AUDIENCE,
  agentKeys,
  type CallOverrides,
  createKit,
  ISSUER,
  issuerJwks,
  privateJwk,
} from '../../../fixtures/kit.js'
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

it('marks the time of a proof, whose signature has not been verified, as unverified', async () => {
  const iat = createKit().seconds
  for (const claims of [{ iat: iat - 600 }, { iat: iat + 600 }, { exp: iat - 60 }, { nbf: iat + 60 }]) {
    const facts = await factsOfCall({ proof: { claims } })
    expect(facts?.cause).toMatchObject({ found: `${Object.values(claims)[0]}`, unverified: true })
  }
})

describe('the list of revocations', () => {
  const ids = (listed: readonly string[]) => listed.includes(`agent:${ISSUER} agent-7`)

  it('names the id, if the store answers at once', async () => {
    const facts = await factsOf({}, {}, { revocations: { isRevoked: ids } })
    expect(facts?.cause).toMatchObject({
      reason: 'an agent of the token or of its delegation is on the revocation list',
      found: `agent:${ISSUER} agent-7`,
    })
  })

  it('is asked once for a request if it is across the network, and again by explain', async () => {
    let asked = 0
    const isRevoked = async (listed: string[]) => {
      asked += 1
      return ids(listed)
    }
    const facts = await factsOf({ jti: 'token-1' }, {}, { revocations: { isRevoked } })
    expect([asked, facts?.cause?.found]).toEqual([
      1,
      expect.stringContaining(`token:${ISSUER} token-1, agent:`),
    ])
    const kit = createKit()
    const verifier = createVerifier(policy, { now: () => kit.now, revocations: { isRevoked } })
    const { method, url, headers } = kit.call()
    const { stages } = await verifier.explain({ method, url, headers: Object.fromEntries(headers) })
    const failed = stages.flatMap(({ checks }) => checks).find(({ outcome }) => outcome === 'failed')
    expect(failed).toMatchObject({ name: 'revocation', found: `agent:${ISSUER} agent-7` })
  })

  it('denies all the same if it fails when it is asked which id it is', async () => {
    const isRevoked = (listed: string[]) => {
      if (listed.length > 1) return true
      throw new Error('down')
    }
    const facts = await factsOf({}, {}, { revocations: { isRevoked } })
    expect(facts?.cause?.reason).toBe('an id of the token or of its delegation is on the revocation list')
  })
})

describe('the message of an error from other code', () => {
  const kit = createKit()
  const [header = '', payload = '', signature = ''] = kit.token().split('.')
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const jwk = privateJwk(agentKeys.seven)

  it.each([
    ['a token', `no entry for ${header}.${payload}.${signature}`, [header, payload, signature]],
    ['a signature alone', `bad signature ${signature}!`, [signature]],
    ['the signature of RSA', `sig=${'aB3-_'.repeat(68)}`, ['aB3-_']],
    ['a header alone', `cannot parse ${header}`, [header]],
    ['an opaque token', 'POST /introspect: Authorization: Bearer 2YotnFZFEjr1zCsicMWpAA', ['2Yotn']],
    ['a password in a URL', 'connect redis://app:s3cret@cache:6379 failed', ['s3cret']],
    ['a private key in PEM', `cannot use ${pem}`, pem.split('\n').slice(1, -2)],
    ['a private key as JWK', `cannot use ${JSON.stringify({ d: jwk.d })}`, [String(jwk.d)]],
  ])('never shows %s', async (_, message, hidden) => {
    const options = {
      authorize: () => {
        throw new Error(message)
      },
    }
    const reason = (await factsOf({}, {}, options))?.cause?.reason ?? ''
    expect(reason).toContain('the hook authorize failed: ')
    for (const secret of hidden) expect(reason).not.toContain(secret)
  })

  it.each([
    'connect ECONNREFUSED 10.0.0.3:6379',
    'https://as.example.com/realms/MyRealm1/protocol/openid-connect/certs answered with status 404',
    `the checksum sha256:${'0a'.repeat(32)} is unknown`,
    'neither DPoP nor Bearer authentication was used',
  ])('shows what is no secret: %s', async (message) => {
    const facts = await factsOf({}, {}, { authorize: () => Promise.reject(new Error(message)) })
    expect(facts?.cause?.reason).toBe(`the hook authorize failed: ${message}`.slice(0, 155))
  })
})
