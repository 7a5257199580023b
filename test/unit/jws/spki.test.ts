import { createPublicKey } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { generateKey, type Jwk } from '../../../fixtures/kit.js'
import type { Algorithm } from '../../../src/jws/algorithms.js'
import { importJwk } from '../../../src/jws/node-key.js'
import { toFasterPem } from '../../../src/jws/spki.js'

type Members = Record<string, string>

const p = {
  'P-256': 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
  'P-384': 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
  'P-521': 2n ** 521n - 1n,
} as const

/** Points of which one coordinate is so small that it has a second encoding with the prime added. */
const small: Readonly<Record<keyof typeof p, readonly [x: bigint, y: bigint]>> = {
  'P-256': [0n, 0x66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4n],
  'P-384': [
    0n,
    0xc306610fb0ae5a159cf45c06069f22a6c5eb3641c602d42dea2c4b4f75550793406d80d2b91ad54f9048bd487af1ade1n,
  ],
  'P-521': [
    0n,
    0x12df13601594a883ef2d935e44bb90bf4d6619b74e52af7552f97769011c0719eb439cfab2a88d40fe59a2bed1f43557169a2d0a2ccd280c607b92bbf51ffe0b078n,
  ],
}

const ec = [
  ['ES256', 'P-256', 32],
  ['ES384', 'P-384', 48],
  ['ES512', 'P-521', 66],
] as const

/** The newest release: PEM for every curve. */
const newest = 24

function encode(value: bigint, size: number): string {
  return Buffer.from(value.toString(16).padStart(size * 2, '0'), 'hex').toString('base64url')
}

function membersOf({ kty, crv, x, y }: Jwk): Members {
  const members = y === undefined ? { crv, kty, x } : { crv, kty, x, y }
  return Object.fromEntries(Object.entries(members).map(([name, value]) => [name, String(value)]))
}

function accepts(importKey: () => unknown): boolean {
  try {
    importKey()
    return true
  } catch {
    return false
  }
}

const fromJwk = (members: Members) => createPublicKey({ key: members, format: 'jwk' })
const fromPem = (members: Members) => createPublicKey(toFasterPem(members, newest) as string)

/** What the verifier does in this release of Node. */
function imported(members: Members) {
  const kty = members.kty as Algorithm['kty']
  return importJwk({ members, kty, crv: members.crv, alg: undefined, thumbprint: '' })
}

test.each(['ES256', 'ES384', 'ES512', 'EdDSA'])('a key of %s as PEM is the key of its JWK', (alg) => {
  for (let time = 0; time < 20; time++) {
    const members = membersOf(generateKey(alg).jwk)
    expect(fromPem(members).export({ format: 'jwk' })).toEqual(members)
    expect(imported(members)?.export({ format: 'jwk' })).toEqual(members)
  }
})

describe.each(ec)('a key of %s is refused as PEM as it is as JWK', (alg, crv, size) => {
  const key = membersOf(generateKey(alg).jwk)
  const [x, y] = small[crv]
  const point = (px: bigint, py: bigint): Members => ({
    crv,
    kty: 'EC',
    x: encode(px, size),
    y: encode(py, size),
  })

  test('but not for a small coordinate', () => {
    expect(accepts(() => fromPem(point(x, y)))).toBe(true)
    expect(accepts(() => fromJwk(point(x, y)))).toBe(true)
    expect(imported(point(x, y))).toBeDefined()
  })

  test.each<[string, Members]>([
    ['a point of another key', { ...key, y: membersOf(generateKey(alg).jwk).y as string }],
    ['swapped coordinates', { ...key, x: key.y as string, y: key.x as string }],
    ['zero', point(0n, 0n)],
    ['the prime', point(p[crv], p[crv])],
    ['the highest number', point(2n ** BigInt(size * 8) - 1n, 2n ** BigInt(size * 8) - 1n)],
    ['a second encoding of x', point(x + p[crv], y)],
    ['a y that is off by one', point(x, y + 1n)],
  ])('%s', (_what, members) => {
    expect(accepts(() => fromJwk(members))).toBe(false)
    expect(accepts(() => fromPem(members))).toBe(false)
    expect(imported(members)).toBeUndefined()
  })
})

describe('coordinates of another size, which Node would read as part of the next one or ignore', () => {
  const bytesOf = (text: string | undefined) => Buffer.from(text ?? '', 'base64url')

  test.each(ec)('%s', (alg) => {
    const key = membersOf(generateKey(alg).jwk)
    const [x, y] = [bytesOf(key.x), bytesOf(key.y)]
    const long = Buffer.concat([y, Buffer.alloc(1)])
    const shifted = [Buffer.concat([x, y.subarray(0, 1)]), y.subarray(1)] as const
    for (const [first, second] of [[x, long], [x, y.subarray(1)], shifted, [x, Buffer.alloc(0)]] as const) {
      const members = { ...key, x: first.toString('base64url'), y: second.toString('base64url') }
      expect(accepts(() => fromPem(members))).toBe(false)
    }
  })

  test('EdDSA', () => {
    const key = membersOf(generateKey('EdDSA').jwk)
    const x = Buffer.concat([bytesOf(key.x), Buffer.alloc(1)]).toString('base64url')
    expect(accepts(() => fromPem({ ...key, x }))).toBe(false)
  })
})

test('each release of Node imports the form that is fastest there', () => {
  const curves = { 'P-256': 22, 'P-384': 20, 'P-521': 20, Ed25519: 24 }
  const algorithms = { 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512', Ed25519: 'EdDSA' } as const
  for (const [crv, since] of Object.entries(curves)) {
    const members = membersOf(generateKey(algorithms[crv as keyof typeof algorithms]).jwk)
    for (const release of [Number.NaN, 18, 20, 22, 24, 26]) {
      expect([crv, release, toFasterPem(members, release) !== undefined]).toEqual([
        crv,
        release,
        release >= since,
      ])
    }
  }
  expect(toFasterPem({ e: 'AQAB', kty: 'RSA', n: 'AQAB' }, newest)).toBeUndefined()
})
