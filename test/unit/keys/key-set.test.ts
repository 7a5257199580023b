import { beforeEach, describe, expect, test, vi } from 'vitest'
import {
  agentKeys,
  base64url,
  type CallOverrides,
  generateKey,
  ISSUER,
  issuerKeys,
  type Jwk,
  published,
  rename,
  type TestKey,
  thumbprint,
} from '../../../fixtures/kit.js'
import type { PublicJwk } from '../../../src/jws/public-key.js'
import { readKeySet } from '../../../src/keys/key-set.js'
import { answer, createKeysKit, signedWith, startServer } from '../../support/issuer.js'

const imported: PublicJwk[] = []

vi.mock('../../../src/jws/node-key.js', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../../src/jws/node-key.js')>()
  const importJwk: typeof original.importJwk = (jwk) => {
    imported.push(jwk)
    return original.importJwk(jwk)
  }
  return { ...original, importJwk }
})

let setup: ReturnType<typeof createKeysKit>

beforeEach(() => {
  setup = createKeysKit()
  imported.length = 0
})

const { es256, eddsa, rs256 } = issuerKeys

/** The outcome of a token of this issuer, whose keys are in the policy. */
function outcomeWith(keys: unknown[], call: CallOverrides): Promise<string> {
  return setup.outcomeOf(setup.verifierOf({ jwks: { keys: keys as object[] } }), call)
}

const withoutKid = (key: TestKey): CallOverrides => signedWith(rename(key, key.alg, undefined))
const zeroPadded = (value: unknown, zeros: number): string =>
  base64url(Buffer.concat([Buffer.alloc(zeros), Buffer.from(String(value), 'base64url')]))

describe('an entry of a JWK Set', () => {
  const spare = published(eddsa)

  const usable: [what: string, entry: Jwk, key: TestKey][] = [
    ['an RSA modulus with a zero byte in front', published(rs256, { n: zeroPadded(rs256.jwk.n, 1) }), rs256],
    ['an RSA exponent with a zero byte in front', published(rs256, { e: 'AAEAAQ' }), rs256],
    [
      'null for what it does not say',
      { ...published(es256), use: null, alg: null, key_ops: null, d: null },
      es256,
    ],
    ['key_ops that name more than verify', published(es256, { key_ops: ['sign', 'verify'] }), es256],
  ]
  test.each(usable)('is used with %s', async (_, entry, key) => {
    expect(await outcomeWith([entry, spare], signedWith(key))).toBe('allow')
  })

  const unusable: [what: string, entry: Jwk, key: TestKey][] = [
    ['a kid that is a number', { ...published(es256), kid: 7 }, es256],
    ['use that is no string', { ...published(es256), use: ['sig'] }, es256],
    ['alg that is no string', { ...published(es256), alg: 7 }, es256],
    ['key_ops that repeat a value', published(es256, { key_ops: ['verify', 'verify'] }), es256],
    ['key_ops that hold something else beside strings', published(es256, { key_ops: ['verify', 7] }), es256],
    ['key_ops that hold no strings', published(es256, { key_ops: [{ verify: true }] }), es256],
    ['an RSA exponent of 3', published(rs256, { e: zeroPadded('Aw', 1) }), rs256],
    ['an RSA modulus of zeros', published(rs256, { n: base64url(Buffer.alloc(256)) }), rs256],
    ['an RSA modulus of too many zeros', published(rs256, { n: zeroPadded(rs256.jwk.n, 400) }), rs256],
    ['a private member that is empty', published(es256, { d: '' }), es256],
    ['a coordinate with a zero byte in front', published(es256, { x: zeroPadded(es256.jwk.x, 1) }), es256],
    ['a point that is not on its curve', published(es256, { y: issuerKeys.stranger.jwk.y }), es256],
  ]
  test.each(unusable)('is left out with %s', async (_, entry, key) => {
    expect(await outcomeWith([entry, spare], signedWith(key))).toBe('key_not_found')
    expect(await outcomeWith([entry, spare], withoutKid(key))).toBe('key_not_found')
    expect(await outcomeWith([entry, spare], signedWith(eddsa))).toBe('allow')
  })

  test('has the thumbprint of the number, however that is written', () => {
    const [key] =
      readKeySet({ keys: [published(rs256, { n: zeroPadded(rs256.jwk.n, 1), e: 'AAEAAQ' })] }) ?? []
    expect(key?.jwk.thumbprint).toBe(thumbprint(rs256.jwk))
  })

  test('null for its kid makes it a key without one', async () => {
    const entry = { ...published(es256), kid: null }
    expect(await outcomeWith([entry, spare], withoutKid(es256))).toBe('allow')
    expect(await outcomeWith([entry, spare], signedWith(rename(es256, 'ES256', 'null')))).toBe(
      'key_not_found',
    )
  })

  test('a proof is read as strictly as ever', async () => {
    const key = agentKeys.rs256
    const outcome = (jwk: Jwk) =>
      setup.outcomeOf(setup.verifierOf({ jwks: { keys: [published(es256)] } }), {
        token: { claims: { cnf: { jkt: key.thumbprint } } },
        proof: { key, header: { jwk } },
      })
    expect(await outcome(key.jwk)).toBe('allow')
    expect(await outcome({ ...key.jwk, n: zeroPadded(key.jwk.n, 1) })).toBe('proof_key_invalid')
    expect(await outcome({ ...key.jwk, use: null })).toBe('proof_key_invalid')
    expect(await outcome({ ...key.jwk, d: null })).toBe('proof_key_invalid')
    expect(await outcome({ ...key.jwk, key_ops: ['verify', 'verify'] })).toBe('proof_key_invalid')
  })
})

describe('a token without a kid, or one that several keys bear', () => {
  const bare = (key: TestKey, more: Jwk = {}) => published(key, { kid: undefined, ...more })
  const others = (count: number, more: Jwk = {}) =>
    Array.from({ length: count }, () => bare(generateKey('ES256'), more))

  test.each([0, 1, 2, 3])('is tried with each of four keys: %i before its own', async (before) => {
    expect(
      await outcomeWith([...others(before), bare(es256), ...others(3 - before)], withoutKid(es256)),
    ).toBe('allow')
  })

  test('is tried with four keys at most', async () => {
    expect(await outcomeWith([...others(4), bare(es256)], withoutKid(es256))).toBe('signature_invalid')
  })

  test('is tried with keys that fit only: type, curve, alg and use', async () => {
    const unfit = [
      ...Array.from({ length: 4 }, () => bare(generateKey('ES384'))),
      ...Array.from({ length: 4 }, () => bare(generateKey('EdDSA'))),
      ...others(4, { alg: 'ES384' }),
      ...others(4, { use: 'enc' }),
    ]
    expect(await outcomeWith([...unfit, bare(es256)], withoutKid(es256))).toBe('allow')
  })

  test('is tried first with keys that state their alg', async () => {
    expect(await outcomeWith([...others(5, { alg: undefined }), bare(es256)], withoutKid(es256))).toBe(
      'allow',
    )
    const named = { kid: es256.kid, alg: undefined }
    expect(await outcomeWith([...others(5, named), published(es256)], signedWith(es256))).toBe('allow')
  })

  test('without a kid it is tried with keys that have one', async () => {
    const next = published(generateKey('ES256', 'next'))
    expect(await outcomeWith([next, published(es256)], withoutKid(es256))).toBe('allow')
  })

  test('an empty kid is none, of a token and of a key', async () => {
    const call: CallOverrides = { token: { header: { kid: '' } } }
    expect(await outcomeWith([bare(es256)], call)).toBe('allow')
    expect(await outcomeWith([published(es256)], call)).toBe('allow')
    expect(await outcomeWith([bare(es256, { kid: '' })], call)).toBe('allow')
    expect(await outcomeWith([bare(es256, { kid: '' })], withoutKid(es256))).toBe('allow')
  })

  test('no kid, and none that fits, makes no fetch', async () => {
    const issuer = await startServer(answer(200, JSON.stringify({ keys: [published(eddsa)] })))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    expect(await setup.outcomeOf(verifier, signedWith(eddsa))).toBe('allow')
    for (const kid of ['', undefined]) {
      expect(await setup.outcomeOf(verifier, { token: { header: { kid } } })).toBe('key_not_found')
    }
    expect(issuer.requestedPaths).toHaveLength(1)
  })
})

describe('a document', () => {
  const document = JSON.stringify({ keys: [published(es256)] })

  test('with a byte order mark is read', async () => {
    const issuer = await startServer(answer(200, Buffer.from(`\ufeff${document}`)))
    expect(await setup.outcomeOf(setup.verifierOf({ jwksUri: issuer.origin }))).toBe('allow')
  })

  test('of type application/jwk-set+json is asked for, and JSON of any other type is read', async () => {
    const accepts: (string | undefined)[] = []
    const issuer = await startServer((request, response) => {
      accepts.push(request.headers.accept)
      const isAccepted = request.headers.accept?.split(', ').includes('application/jwk-set+json')
      response.writeHead(isAccepted ? 200 : 406, { 'content-type': 'text/plain' }).end(document)
    })
    expect(await setup.outcomeOf(setup.verifierOf({ jwksUri: issuer.origin }))).toBe('allow')
    expect(accepts).toEqual(['application/jwk-set+json, application/json'])
  })
})

describe('a set of a hundred keys', () => {
  const many = Array.from({ length: 100 }, (_, n) => generateKey('ES512', `k${n}`))
  const importedHere = () => imported.filter(({ crv }) => crv === 'P-521').length
  const documentOf = (keys: readonly TestKey[]) => JSON.stringify({ keys: keys.map((key) => published(key)) })
  const at = (n: number) => signedWith(many[n] as TestKey)

  test('is imported key by key, when a token first needs one, and never again', async () => {
    const issuer = await startServer(answer(200, documentOf(many)))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    expect(await verifier.ready()).toMatchObject({ ready: true })
    // One, to know that there is a usable one.
    expect(importedHere()).toBe(1)
    expect(await setup.outcomeOf(verifier, at(57))).toBe('allow')
    expect(await setup.outcomeOf(verifier, at(57))).toBe('allow')
    expect(await setup.outcomeOf(verifier, at(0))).toBe('allow')
    expect(importedHere()).toBe(2)

    for (let count = 0; count < 3; count++) expect(await verifier.refreshKeys()).toBe(true)
    expect(await setup.outcomeOf(verifier, at(57))).toBe('allow')
    expect(importedHere()).toBe(2)

    issuer.handler = answer(200, documentOf([...many.slice(1), generateKey('ES512', 'new')]))
    expect(await verifier.refreshKeys()).toBe(true)
    expect(importedHere()).toBe(2 + 1)
    expect(await setup.outcomeOf(verifier, at(99))).toBe('allow')
    expect(importedHere()).toBe(2 + 1 + 1)
  })

  test('in the policy is no different', async () => {
    const verifier = setup.verifierOf({ url: ISSUER, jwks: JSON.parse(documentOf(many)) })
    expect(importedHere()).toBe(1)
    expect(await setup.outcomeOf(verifier, at(99))).toBe('allow')
    expect(importedHere()).toBe(2)
  })

  test('a key that cannot be imported is tried once', async () => {
    const bad = published(many[0] as TestKey, { y: many[1]?.jwk.y })
    const issuer = await startServer(
      answer(200, JSON.stringify({ keys: [bad, published(many[2] as TestKey)] })),
    )
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    expect(await verifier.ready()).toMatchObject({ ready: true })
    for (let count = 0; count < 5; count++)
      expect(await setup.outcomeOf(verifier, at(0))).toBe('key_not_found')
    expect(importedHere()).toBe(2)
  })
})
