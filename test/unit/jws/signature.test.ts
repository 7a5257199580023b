import { constants, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type Algorithm, algorithms } from '../../../src/jws/algorithms.js'
import { readPublicJwk } from '../../../src/jws/jwk.js'
import { hasFittingSize, type PublicJwk, type PublicKey } from '../../../src/jws/public-key.js'
import * as node from '../../../src/jws/signature-node.js'
import * as web from '../../../src/jws/signature-web.js'

const backends: ReadonlyMap<string, Pick<typeof web, 'importJwk' | 'createSignatureCheck'> | typeof node> =
  new Map(Object.entries({ 'node:crypto': node, 'Web Crypto': web }))

/** Generating RSA keys takes most of the time of a test: two serve all. */
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const otherRsa = generateKeyPairSync('rsa', { modulusLength: 2048 })

function generate({ kty, crv }: Algorithm) {
  if (kty === 'RSA') return rsa
  return crv === 'Ed25519'
    ? generateKeyPairSync('ed25519')
    : generateKeyPairSync('ec', { namedCurve: crv as string })
}

function signed(algorithm: Algorithm, key: KeyObject, input: string, over: object = {}): string {
  const options = { key, dsaEncoding: 'ieee-p1363', ...algorithm.pss, ...over } as const
  return sign(algorithm.digest, Buffer.from(input), options).toString('base64url')
}

const inputOf = (alg: string) =>
  `${Buffer.from(JSON.stringify({ alg })).toString('base64url')}.${Buffer.from('{"n":1}').toString('base64url')}`

function read(key: KeyObject): PublicJwk {
  return readPublicJwk({ ...key.export({ format: 'jwk' }) }) as PublicJwk
}

describe.each([...backends])('signatures by %s', (_name, backend) => {
  const check = backend.createSignatureCheck(() => false)

  function publicKeyOf(jwk: PublicJwk): PublicKey {
    const handle = backend.importJwk(jwk)
    if (handle === undefined) throw new Error('not imported')
    const { n } = jwk.members
    return { ...jwk, handle, modulus: n === undefined ? undefined : Buffer.from(n, 'base64url') }
  }

  test.each([...algorithms.values()])('$name: its own signature, and no other', async (algorithm) => {
    const { name } = algorithm
    const { publicKey, privateKey } = generate(algorithm)
    const key = publicKeyOf(read(publicKey))
    const input = inputOf(name)
    const good = signed(algorithm, privateKey, input)
    expect(await check(key, algorithm, input, good)).toBe(true)
    // The second time with the key that is imported already.
    expect(await check(key, algorithm, input, good)).toBe(true)
    const bytes = Buffer.from(good, 'base64url')
    bytes[5] = (bytes[5] as number) ^ 1
    const wrong = [
      bytes.toString('base64url'),
      Buffer.alloc(bytes.length).toString('base64url'),
      Buffer.concat([Buffer.from(good, 'base64url'), Buffer.alloc(3)]).toString('base64url'),
      Buffer.from(good, 'base64url').subarray(1).toString('base64url'),
      signed(algorithm, (algorithm.kty === 'RSA' ? otherRsa : generate(algorithm)).privateKey, input),
      '',
    ]
    for (const signature of wrong) expect(await check(key, algorithm, input, signature)).toBe(false)
    expect(await check(key, algorithm, inputOf(`${name}x`), good)).toBe(false)
    expect(await check(key, algorithm, `${input}A`, good)).toBe(false)
  })

  test('a DER signature is none (RFC 7518 section 3.4)', async () => {
    const algorithm = algorithms.get('ES256') as Algorithm
    const { publicKey, privateKey } = generate(algorithm)
    const der = signed(algorithm, privateKey, inputOf('ES256'), { dsaEncoding: 'der' })
    expect(await check(publicKeyOf(read(publicKey)), algorithm, inputOf('ES256'), der)).toBe(false)
  })

  test.each([0, 20, 222])(
    'PS256 with a salt of %i bytes is none (RFC 7518 section 3.5)',
    async (saltLength) => {
      const algorithm = algorithms.get('PS256') as Algorithm
      const { publicKey, privateKey } = generate(algorithm)
      const other = signed(algorithm, privateKey, inputOf('PS256'), { saltLength })
      expect(await check(publicKeyOf(read(publicKey)), algorithm, inputOf('PS256'), other)).toBe(false)
    },
  )

  test('PKCS #1 v1.5 is no PSS, and PSS is no PKCS #1 v1.5, under one key', async () => {
    const [ps, rs] = [algorithms.get('PS256') as Algorithm, algorithms.get('RS256') as Algorithm]
    const { publicKey, privateKey } = generate(rs)
    const key = publicKeyOf(read(publicKey))
    const pkcs1 = signed(ps, privateKey, inputOf('PS256'), {
      padding: constants.RSA_PKCS1_PADDING,
      saltLength: undefined,
    })
    expect(await check(key, ps, inputOf('PS256'), pkcs1)).toBe(false)
    expect(await check(key, rs, inputOf('RS256'), signed(rs, privateKey, inputOf('RS256')))).toBe(true)
    expect(await check(key, ps, inputOf('PS256'), signed(ps, privateKey, inputOf('PS256')))).toBe(true)
  })

  test.each(['P-256', 'P-384', 'P-521'])('a point off %s is no key, and one on it is', (namedCurve) => {
    for (let attempt = 0; attempt < 5; attempt++) {
      const jwk = read(generateKeyPairSync('ec', { namedCurve }).publicKey)
      expect(backend.importJwk(jwk)).toBeDefined()
      const { x = '', y = '' } = jwk.members
      const zero = 'A'.repeat(x.length)
      for (const members of [
        { x: y, y: x },
        { x, y: zero },
        { x: zero, y: zero },
      ]) {
        expect(backend.importJwk({ ...jwk, members: { ...jwk.members, ...members } })).toBeUndefined()
      }
    }
  })

  test('a coordinate that is not below the prime is no key', () => {
    const jwk = read(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey)
    const prime = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n
    const [x, y] = ['x', 'y'].map((name) =>
      BigInt(`0x${Buffer.from(jwk.members[name] ?? '', 'base64url').toString('hex')}`),
    ) as [bigint, bigint]
    const text = (value: bigint) =>
      Buffer.from(value.toString(16).padStart(64, '0'), 'hex').toString('base64url')
    expect(
      backend.importJwk({ ...jwk, members: { ...jwk.members, x: text(x), y: text(prime - y) } }),
    ).toBeDefined()
    for (const members of [{ x: text(prime) }, { y: text(prime) }, { y: `${'_'.repeat(42)}8` }]) {
      expect(backend.importJwk({ ...jwk, members: { ...jwk.members, ...members } })).toBeUndefined()
    }
  })
})

test('the backends refuse keys of each other', async () => {
  const algorithm = algorithms.get('Ed25519') as Algorithm
  const { publicKey, privateKey } = generate(algorithm)
  const jwk = read(publicKey)
  const input = inputOf('Ed25519')
  const signature = signed(algorithm, privateKey, input)
  const keyOf = (handle: PublicKey['handle'] | undefined) =>
    ({ ...jwk, handle, modulus: undefined }) as PublicKey
  expect(await web.isSignedBy(keyOf(web.importJwk(jwk)), algorithm, input, signature)).toBe(true)
  expect(await web.isSignedBy(keyOf(node.importJwk(jwk)), algorithm, input, signature)).toBe(false)
  expect(node.isSignedBy(keyOf(web.importJwk(jwk)), algorithm, input, signature)).toBe(false)
})

test('an RSA signature is a number below the modulus (RFC 8017 section 5.2.2)', () => {
  const algorithm = algorithms.get('PS256') as Algorithm
  const key = { modulus: Uint8Array.of(200, 100, 7) } as PublicKey
  const fits = (...bytes: number[]) => hasFittingSize(Uint8Array.from(bytes), key, algorithm)
  expect([fits(200, 100, 6), fits(199, 255, 255), fits(0, 0, 0)]).toEqual([true, true, true])
  expect([fits(200, 100, 7), fits(200, 100, 8), fits(200, 101, 0), fits(201, 0, 0)]).toEqual(
    Array(4).fill(false),
  )
  expect([fits(200, 100), fits(0, 200, 100, 6), fits()]).toEqual([false, false, false])
})
