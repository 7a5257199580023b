import { type CryptoKey, compactVerify, importJWK } from 'jose'
import { fromBase64url } from '#runtime'
import type { Algorithm } from './algorithms.js'
import { toBigInt } from './big-endian.js'
import {
  hasFittingSize,
  type PublicJwk,
  type PublicKey,
  type SignatureCheck,
  type WebKey,
} from './public-key.js'

// `#signature` without Node's modules, by Web Crypto. The same exports as src/jws/signature-node.ts.

interface Curve {
  /** The prime, and the coefficient b of y² = x³ - 3x + b (FIPS 186-5, SP 800-186 section 3.2.1). */
  readonly p: bigint
  readonly b: bigint
}

const curves: ReadonlyMap<string | undefined, Curve> = new Map([
  [
    'P-256',
    {
      p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
      b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
    },
  ],
  [
    'P-384',
    {
      p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
      b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
    },
  ],
  [
    'P-521',
    {
      p: 2n ** 521n - 1n,
      b: 0x0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00n,
    },
  ],
])

/**
 * Undefined for a point that is not on its curve, which some runtimes would import. Web Crypto imports keys
 * later.
 */
export function importJwk({ kty, crv, members }: PublicJwk): WebKey | undefined {
  if (kty === 'EC' && !isOnCurve(members, curves.get(crv))) return undefined
  return { members, imported: new Map() }
}

/** Whether the key made this signature (canonical base64url) over this input. Never rejects. */
export async function isSignedBy(
  key: PublicKey,
  algorithm: Algorithm,
  input: string,
  signature: string,
): Promise<boolean> {
  if (!hasFittingSize(fromBase64url(signature), key, algorithm)) return false
  try {
    const cryptoKey = await cryptoKeyOf(key, algorithm)
    await compactVerify(`${input}.${signature}`, cryptoKey, { algorithms: [algorithm.name] })
    return true
  } catch {
    return false
  }
}

/** Web Crypto decides by itself where it verifies: there is no thread pool to choose. */
export function createSignatureCheck(_isBusy: () => boolean): SignatureCheck {
  return isSignedBy
}

/** Keeps finished imports only: in Workers, no request may await what another has begun. */
async function cryptoKeyOf({ handle }: PublicKey, { name }: Algorithm): Promise<CryptoKey> {
  if (!('imported' in handle)) throw new TypeError('a key of node:crypto')
  const known = handle.imported.get(name)
  if (known !== undefined) return known
  const imported = await importJWK({ ...handle.members }, name)
  if (imported instanceof Uint8Array) throw new TypeError('a symmetric key')
  handle.imported.set(name, imported)
  return imported
}

function isOnCurve({ x = '', y = '' }: PublicJwk['members'], curve: Curve | undefined): boolean {
  if (curve === undefined) return false
  const { p, b } = curve
  const [px, py] = [toBigInt(fromBase64url(x)), toBigInt(fromBase64url(y))]
  return px < p && py < p && (py * py - (px * px * px - 3n * px + b)) % p === 0n
}
