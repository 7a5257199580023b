import { describe, expect, test } from 'vitest'
import { bearer, issuedBy, ordinaryToken } from '../../../fixtures/conformance/as-issued.js'
import { mapSegment } from '../../../fixtures/jws-spellings.js'
import { createKit, ISSUER, issuerJwks, sha256 } from '../../../fixtures/kit.js'
import {
  type DecisionFacts,
  type IssuerPolicy,
  memoryRevocations,
  type Policy,
  type RouteRule,
} from '../../../src/index.js'
import { verifierFor } from '../../support/verify.js'

/** The honest signature of ES256 in its other form: (r, n - s) verifies as (r, s) does. */
function malleate(token: string): string {
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  return mapSegment(token, 2, (segment) => {
    const bytes = Buffer.from(segment, 'base64url')
    const s = order - BigInt(`0x${bytes.subarray(32).toString('hex')}`)
    const half = Buffer.from(s.toString(16).padStart(64, '0'), 'hex')
    return Buffer.concat([bytes.subarray(0, 32), half]).toString('base64url')
  })
}

const signingInput = (token: string) => token.split('.', 2).join('.')

/** Decides requests with a token of this issuer entry. `told` are the facts of each decision. */
function verifierFrom(entry: Partial<IssuerPolicy>, rule: RouteRule = {}, policy: Partial<Policy> = {}) {
  const kit = createKit()
  const told: DecisionFacts[] = []
  const revocations = memoryRevocations({ now: () => kit.now })
  const { verify, outcome } = verifierFor(
    kit,
    { ...issuedBy(entry, rule), ...policy },
    { revocations, onDecision: (_, facts) => void told.push(facts) },
  )
  return { kit, told, revocations, verify, outcome }
}

describe('read.id "hash"', () => {
  const hash = { read: { id: 'hash' } }

  test('is SHA-256 of the signing input', async () => {
    const { kit, verify } = verifierFrom(hash)
    const token = ordinaryToken(kit, { jti: undefined })
    const id = sha256(signingInput(token))
    expect(await verify(bearer(token))).toMatchObject({ outcome: 'allow', grant: { token: { id } } })
  })

  test('is the same id for another encoding of the signature', async () => {
    const { kit, outcome } = verifierFrom(hash, { once: true })
    const token = ordinaryToken(kit, { jti: undefined })
    expect(malleate(token)).not.toBe(token)
    expect(await outcome(bearer(token))).toBe('allow')
    expect(await outcome(bearer(malleate(token)))).toBe('token_reused')
  })

  test('revokes a token in both encodings', async () => {
    const { kit, revocations, outcome } = verifierFrom(hash)
    const token = ordinaryToken(kit, { jti: undefined })
    expect(await outcome(bearer(malleate(token)))).toBe('allow')
    revocations.revoke(`token:${ISSUER} ${sha256(signingInput(token))}`, kit.seconds + 600)
    expect(await outcome(bearer(token))).toBe('token_revoked')
    expect(await outcome(bearer(malleate(token)))).toBe('token_revoked')
  })

  test('takes precedence over a jti', async () => {
    const { kit, outcome } = verifierFrom(hash, { once: true })
    expect(await outcome(bearer(ordinaryToken(kit, { jti: 'same' })))).toBe('allow')
    expect(await outcome(bearer(ordinaryToken(kit, { jti: 'same', n: 1 })))).toBe('allow')
  })
})

describe('revocations of agents', () => {
  const behalf = { read: { agent: '/act/sub' } }
  const claims = { sub: 'ada', act: { sub: 'bot-1', act: { sub: 'bot-0' } } }

  test.each([
    ['bot-1', 'token_revoked'],
    ['ada', 'token_revoked'],
    // An earlier actor is history.
    ['bot-0', 'allow'],
  ])('of %s: %s', async (id, expected) => {
    const { kit, revocations, outcome } = verifierFrom(behalf)
    revocations.revoke(`agent:${ISSUER} ${id}`, kit.seconds + 600)
    expect(await outcome(bearer(ordinaryToken(kit, claims)))).toBe(expected)
  })
})

describe('facts', () => {
  const entry = {
    read: { agent: '/azp', scope: ['/scp', '/roles'], audience: '/client_id', subject: '/oid' },
    claims: { '/tid': { equals: 't' } },
  }
  const claims = { azp: 'app', roles: ['a'], client_id: 'https://orders.example.com', oid: 'ada', tid: 't' }

  async function factsOf(over: object, rule: RouteRule = {}) {
    const { kit, told, outcome } = verifierFrom(entry, rule)
    await outcome(bearer(ordinaryToken(kit, { ...claims, ...over })))
    return told[0]
  }

  test.each<[what: string, over: object, rule: RouteRule, claim: string]>([
    ['another audience', { client_id: 'x' }, {}, 'client_id'],
    ['no scope', {}, { scope: 'b' }, 'scp or roles'],
    ['another agent', {}, { agents: ['x'] }, 'azp'],
    ['another person', {}, { user: { sub: ['bob'] } }, 'oid'],
    ['a claim of the entry', { tid: 'x' }, {}, '/tid'],
    ['no subject', { oid: undefined }, {}, 'oid'],
    ['an old token', { iat: 1, exp: 2 }, {}, 'exp'],
    ['a claim of the rule', {}, { claims: { '/n': { exists: true } } }, '/n'],
  ])('name the issuer, the claim and the agent: %s', async (_, over, rule, claim) => {
    const facts = await factsOf(over, rule)
    expect(facts?.cause).toMatchObject({ issuer: ISSUER, claim })
    expect(facts?.agent).toBe('app')
  })

  test('name the agent, not the subject, if the claims are refused', async () => {
    expect((await factsOf({ jti: undefined }))?.agent).toBe('app')
    expect((await factsOf({ azp: undefined }))?.agent).toBeUndefined()
  })

  test('do not name an issuer that is not trusted', async () => {
    const facts = await factsOf({ iss: 'https://nobody.example.com' })
    expect(facts?.cause).toMatchObject({ claim: 'iss', unverified: true })
    expect(facts?.cause?.issuer).toBeUndefined()
  })

  test('name the entry of a request field', async () => {
    const { kit, told, outcome } = verifierFrom(
      {},
      {},
      { issuer: [{ url: ISSUER, jwks: issuerJwks(), profile: 'oauth', header: 'X-Token' }] },
    )
    expect(await outcome(bearer(ordinaryToken(kit)))).toBe('issuer_not_trusted')
    expect(told[0]?.cause).toMatchObject({ issuer: ISSUER, expected: 'x-token', found: 'authorization' })
  })
})
