import { fromBase64url, sha256 } from '#runtime'
import { importJwk } from '#signature'
import { type Algorithm, algorithms, isSameAlgorithm } from './algorithms.js'
import { decodeBase64url, isExact } from './base64url.js'
import { toBigInt } from './big-endian.js'
import type { KeyHandle, PublicJwk, PublicKey } from './public-key.js'

export type { PublicJwk, PublicKey } from './public-key.js'

/** Members of private and symmetric keys (RFC 7518 sections 6.2.2, 6.3.2 and 6.4; RFC 8037). */
const secretMembers: ReadonlySet<string> = new Set(['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'])

/** Without a prototype, so that no member is read from a polluted one. */
type Members = Readonly<Record<string, unknown>>

const coordinateSizes = new Map([
  ['P-256', 32],
  ['P-384', 48],
  ['P-521', 66],
  ['Ed25519', 32],
])

/**
 * Reads a public JWK without importing it, which can cost milliseconds. Returns undefined for another `kty`
 * or `crv`, a private member, a member that is not canonical base64url, an RSA key outside 2048 to 4096 bits
 * or with another exponent than 65537, or a `use`, `key_ops` or `alg` that contradicts verification (RFC 7517
 * section 4, RFC 7518 section 6).
 */
export function readPublicJwk(jwk: Members): PublicJwk | undefined {
  if (Object.keys(jwk).some((name) => secretMembers.has(name))) return undefined
  const { alg } = jwk
  if ((alg !== undefined && typeof alg !== 'string') || !isForVerification(jwk)) return undefined
  const members = requiredMembers(jwk)
  if (members === undefined) return undefined
  const { kty, crv } = members
  const read: PublicJwk = {
    members,
    kty: kty as Algorithm['kty'],
    crv,
    alg,
    thumbprint: thumbprintOf(members),
  }
  if (alg !== undefined) {
    const pinned = algorithms.get(alg)
    if (pinned === undefined || !fits(read, pinned)) return undefined
  }
  return read
}

/** Imports a key whose shape was checked. Undefined where the point is not on its curve. */
export function importKey(jwk: PublicJwk): PublicKey | undefined {
  const handle: KeyHandle | undefined = importJwk(jwk)
  if (handle === undefined) return undefined
  const { kty, crv, alg, thumbprint, members } = jwk
  // A copy: Node's decoder gives a part of a larger buffer, which would stay in memory.
  const modulus = members.n === undefined ? undefined : Uint8Array.from(fromBase64url(members.n))
  return { handle, kty, crv, modulus, alg, thumbprint }
}

/** `readPublicJwk` and `importKey` in one. */
export function importPublicKey(jwk: Members): PublicKey | undefined {
  const read = readPublicJwk(jwk)
  return read && importKey(read)
}

/** Whether a key fits an algorithm (RFC 8725 section 3.1). */
export function fits(key: Pick<PublicKey, 'kty' | 'crv' | 'alg'>, algorithm: Algorithm): boolean {
  return (
    key.kty === algorithm.kty &&
    key.crv === algorithm.crv &&
    (key.alg === undefined || isSameAlgorithm(key.alg, algorithm.name))
  )
}

/** The RFC 7638 thumbprint of a JWK, for `cnf.jwk`. Undefined where `readPublicJwk` refuses it. */
export function thumbprintOfJwk(jwk: Members): string | undefined {
  return readPublicJwk(jwk)?.thumbprint
}

function isForVerification({ use, key_ops }: Members): boolean {
  if (use !== undefined && use !== 'sig') return false
  return key_ops === undefined || (isOperations(key_ops) && key_ops.includes('verify'))
}

/** An array of strings, none of them twice (RFC 7517 section 4.3). */
function isOperations(value: unknown): value is string[] {
  if (!Array.isArray(value) || !value.every((operation) => typeof operation === 'string')) return false
  return new Set(value).size === value.length
}

/** The members that make up the key, in the order of RFC 7638 section 3.2, each in canonical base64url. */
function requiredMembers({ kty, crv, x, y, e, n }: Members): Record<string, string> | undefined {
  if (kty === 'RSA') return e === 'AQAB' && isModulus(n) ? { e, kty, n } : undefined
  if (typeof crv !== 'string') return undefined
  if (kty === 'EC' && crv.startsWith('P-')) {
    return isCoordinate(x, crv) && isCoordinate(y, crv) ? { crv, kty, x, y } : undefined
  }
  if (kty === 'OKP' && crv === 'Ed25519') {
    return isCoordinate(x, crv) && isSoundEd25519(x) ? { crv, kty, x } : undefined
  }
  return undefined
}

function isCoordinate(value: unknown, crv: string): value is string {
  const size = coordinateSizes.get(crv)
  if (size === undefined || typeof value !== 'string') return false
  // The length of canonical base64url tells the number of bytes without decoding.
  return value.length === Math.ceil((size * 4) / 3) && isExact(value)
}

const ed25519Prime = 2n ** 255n - 19n

/** The y coordinates of the points of small order: signatures under them verify for many messages. */
const smallOrder = new Set([
  0n,
  1n,
  ed25519Prime - 1n,
  0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n,
  0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n,
])

/** Refuses non-canonical encodings and points of small order (RFC 8032 section 5.1.3, RFC 8037 section 2). */
function isSoundEd25519(x: string): boolean {
  const bytes = fromBase64url(x).reverse()
  // The highest bit is the sign of the other coordinate.
  bytes[0] = (bytes[0] ?? 0) & 0x7f
  const y = toBigInt(bytes)
  return y < ed25519Prime && !smallOrder.has(y)
}

function isModulus(value: unknown): value is string {
  // 4096 bits are 683 characters.
  if (typeof value !== 'string' || value.length > 683) return false
  const bytes = decodeBase64url(value)
  if (bytes === undefined || bytes.length < 256 || bytes.length > 512) return false
  const [first = 0] = bytes
  const last = bytes.at(-1) ?? 0
  // No leading zero byte (RFC 7518 section 2), a full 2048 bits at least, and odd, as any product of primes.
  return (bytes.length > 256 ? first > 0 : first > 127) && last % 2 === 1
}

function thumbprintOf(members: Record<string, string>): string {
  // The members are in RFC 7638 order, and no value needs escaping.
  return sha256(JSON.stringify(members))
}
