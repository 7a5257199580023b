import { toBase64url } from '#runtime'
import { decodeBase64url } from '../jws/base64url.js'
import { importKey, type PublicJwk, type PublicKey, readPublicJwk } from '../jws/jwk.js'
import { isObject } from '../lib/objects.js'

/** A key of an issuer. It stays the same object while the issuer publishes the key. */
export class IssuerKey {
  readonly kid: string | undefined
  readonly jwk: PublicJwk
  #imported: PublicKey | 'unusable' | undefined

  constructor(kid: string | undefined, jwk: PublicJwk) {
    this.kid = kid
    this.jwk = jwk
  }

  /**
   * Undefined for an unusable key, such as a point that is not on its curve. Imported when a token first
   * needs it: the import of a hundred keys at once would block the event loop for hundreds of milliseconds.
   */
  get key(): PublicKey | undefined {
    this.#imported ??= importKey(this.jwk) ?? 'unusable'
    return this.#imported === 'unusable' ? undefined : this.#imported
  }

  /** Equal for two entries with the same key, `kid` and `alg`. */
  get identity(): string {
    return JSON.stringify([this.kid, this.jwk.alg, this.jwk.thumbprint])
  }
}

/**
 * Reads an entry of a JWK Set. Reading is more lenient than for the key of a proof, because the issuer wrote
 * it: a null member counts as absent, an empty `kid` as none, and a leading zero of an RSA number is dropped.
 */
export function readIssuerKey(entry: unknown): IssuerKey | undefined {
  if (!isObject(entry)) return undefined
  const members: Record<string, unknown> = Object.create(null)
  for (const [name, value] of Object.entries(entry)) if (value !== null) members[name] = value
  const { kid, kty, n, e } = members
  if (kid !== undefined && typeof kid !== 'string') return undefined
  if (kty === 'RSA') Object.assign(members, { n: withoutLeadingZeros(n), e: withoutLeadingZeros(e) })
  const jwk = readPublicJwk(members)
  return jwk && new IssuerKey(kid === '' ? undefined : kid, jwk)
}

/** In characters: 4096 bits are 683. */
const maxNumberLength = 700

/** RFC 7518 section 6.3.1.1. Java's BigInteger writes a zero byte before a number whose first bit is set. */
function withoutLeadingZeros(value: unknown): unknown {
  if (typeof value !== 'string' || !value.startsWith('A') || value.length > maxNumberLength) return value
  const bytes = decodeBase64url(value)
  const first = bytes?.findIndex((byte) => byte !== 0) ?? 0
  return bytes !== undefined && first > 0 ? toBase64url(bytes.subarray(first)) : value
}
