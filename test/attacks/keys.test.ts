import { createHash, createPublicKey, verify as verifySignature } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { defaultPolicy, oauthIssuer } from '../../fixtures/conformance/policy.js'
import {
  AUDIENCE,
  agentKeys,
  createKit,
  generateKey,
  ISSUER,
  type Jwk,
  jws,
  published,
  rename,
  sha256,
  type TestKey,
} from '../../fixtures/kit.js'
import { createVerifier, PolicyError } from '../../src/index.js'
import { verifierFor } from '../support/verify.js'

/**
 * Encodings of points on edwards25519 for whose keys anybody can sign, or that have a second encoding (y >=
 * p).
 */
const unsound: readonly [what: string, hex: string][] = [
  ['the neutral element', `01${'00'.repeat(31)}`],
  ['the neutral element with its sign bit set', `01${'00'.repeat(30)}80`],
  ['order 2', `ec${'ff'.repeat(30)}7f`],
  ['order 4', '00'.repeat(32)],
  ['order 4, the other one', `${'00'.repeat(31)}80`],
  ['order 8', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'],
  ['order 8, negated', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85'],
  ['order 8, another one', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'],
  ['order 8, that one negated', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa'],
  ['y = p, written for 0', `ed${'ff'.repeat(30)}7f`],
  ['y = p + 1, written for 1', `ee${'ff'.repeat(30)}7f`],
  ['y = 2^255 - 1, written for 18', `${'ff'.repeat(31)}7f`],
  ['y = p + 3, written for 3', `f0${'ff'.repeat(30)}7f`],
]

const jwkOf = (hex: string): Jwk => ({
  kty: 'OKP',
  crv: 'Ed25519',
  x: Buffer.from(hex, 'hex').toString('base64url'),
})
const sound = agentKeys.eddsa

test('anybody can sign for the neutral element: that is what is refused', () => {
  const key = createPublicKey({ key: jwkOf(`01${'00'.repeat(31)}`) as never, format: 'jwk' })
  const signature = Buffer.concat([Buffer.from(`01${'00'.repeat(31)}`, 'hex'), Buffer.alloc(32)])
  expect(verifySignature(null, Buffer.from('whatever it says'), key, signature)).toBe(true)
})

describe.each(unsound)('an Ed25519 key that is no key: %s', (_, hex) => {
  const kit = createKit()
  const jwk = jwkOf(hex)
  /** Signs for the neutral element; for the others the signature is never looked at. */
  const forged = Buffer.concat([Buffer.from(`01${'00'.repeat(31)}`, 'hex'), Buffer.alloc(32)])

  test('is no key of an issuer', async () => {
    const issuer = (keys: Jwk[]) => ({ url: ISSUER, jwks: { keys } })
    const entry = { ...jwk, kid: 'unsound', alg: 'EdDSA', use: 'sig' }
    expect(() => createVerifier({ ...defaultPolicy(), issuer: issuer([entry]) })).toThrow(PolicyError)
    const honest = published(rename(sound, 'EdDSA', 'sound'))
    const { outcome } = verifierFor(kit, { issuer: issuer([entry, honest]) })
    const key: TestKey = { ...sound, kid: 'unsound' }
    expect(await outcome(kit.call({ token: { key, signature: () => forged } }))).toBe('key_not_found')
    expect(await outcome(kit.call({ token: { key: rename(sound, 'EdDSA', 'sound') } }))).toBe('allow')
  })

  test('is no key of a proof', async () => {
    const { outcome } = verifierFor(kit)
    const header = { alg: 'EdDSA', jwk }
    expect(await outcome(kit.call({ proof: { key: sound, header, signature: () => forged } }))).toBe(
      'proof_key_invalid',
    )
    const token = { claims: { cnf: { jkt: sound.thumbprint } } }
    expect(await outcome(kit.call({ token, proof: { key: sound } }))).toBe('allow')
  })

  test('is no key of a delegator', async () => {
    const { outcome } = verifierFor(kit)
    const delegated = (by: TestKey, signature?: () => Buffer) => {
      const iat = kit.seconds - 10
      const claims = {
        iss: 'agent-1',
        sub: 'agent-7',
        cnf: { jkt: agentKeys.seven.thumbprint },
        aud: AUDIENCE,
        scope: 'orders:read',
        iat,
        exp: iat + 300,
        jti: kit.id(),
        workflow_id: 'refund',
      }
      const header = { alg: by.alg, typ: 'ajwt-delegation+jwt', jwk: by.jwk }
      const assertion = jws(header, claims, sound, signature === undefined ? {} : { signature })
      const intent = kit.intent({
        initiated_by: 'agent-1',
        initiator_jkt: by.thumbprint,
        delegation: [assertion],
      })
      return kit.call({ token: { claims: { intent } } })
    }
    const thumbprint = sha256(JSON.stringify({ crv: jwk.crv, kty: jwk.kty, x: jwk.x }))
    expect(await outcome(delegated({ ...sound, jwk, thumbprint }, () => forged))).toBe('delegation_malformed')
    expect(await outcome(delegated(sound))).toBe('allow')
  })
})

const hashOf = (ids: readonly string[]) =>
  createHash('sha256').update(ids.join('|')).digest('hex').slice(0, 16)

test('of keys with one and the same kid, four are tried for a token and no more', async () => {
  const keys = Array.from({ length: 5 }, () => generateKey('ES256', 'same'))
  const kit = createKit()
  const issuer = { url: ISSUER, jwks: { keys: keys.map((key) => published(key)) } }
  const { outcome } = verifierFor(kit, { issuer })
  const verdicts: string[] = []
  for (const key of keys) verdicts.push(await outcome(kit.call({ token: { key } })))
  expect(verdicts).toEqual(['allow', 'allow', 'allow', 'allow', 'signature_invalid'])
})

test('an OAuth subject that holds the "|" of a chain makes no chain of itself', async () => {
  const kit = createKit()
  const routes = { 'GET /orders/:id': { delegation: { maxDepth: 0 } } } as const
  const { outcome } = verifierFor(kit, { issuer: oauthIssuer(), routes })
  const call = (sub: string, delegation_chain: unknown) =>
    kit.call({ token: { claims: { sub, intent: kit.intent({ executed_by: sub, delegation_chain }) } } })
  // One hash for a direct call of "user|agent" and for a call of "agent" that "user" began.
  expect(await outcome(call('user|agent', hashOf(['user', 'agent'])))).toBe('claims_invalid')
  expect(await outcome(call('user|agent', ['user|agent']))).toBe('claims_invalid')
  expect(await outcome(call('user|agent', undefined))).toBe('allow')
  expect(await outcome(call('agent', hashOf(['agent'])))).toBe('allow')
})
