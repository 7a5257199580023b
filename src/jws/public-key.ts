import type { KeyObject, webcrypto } from 'node:crypto'
import type { MaybePromise } from '../lib/promise.js'
import type { Algorithm } from './algorithms.js'

/** A public JWK of the right shape. It is not imported yet: a point may not be on its curve. */
export interface PublicJwk {
  readonly kty: Algorithm['kty']
  readonly crv: string | undefined
  /** The algorithm that the key's own `alg` pins it to, if any. */
  readonly alg: string | undefined
  /** RFC 7638, SHA-256, base64url. */
  readonly thumbprint: string
  /** The members that make up the key, in the order of RFC 7638 section 3.2. */
  readonly members: Readonly<Record<string, string>>
}

/** A public key that can verify signatures. */
export interface PublicKey extends Omit<PublicJwk, 'members'> {
  readonly handle: KeyHandle
  /** Of an RSA key, the highest byte first; undefined for other keys. */
  readonly modulus: Uint8Array | undefined
}

/** A key as the signature backend of the runtime holds it. */
export type KeyHandle = KeyObject | WebKey

/** A key for Web Crypto, which imports a key for one algorithm. */
export interface WebKey {
  readonly members: Readonly<Record<string, string>>
  /** By the name of the algorithm: only keys whose import is over. */
  readonly imported: Map<string, webcrypto.CryptoKey>
}

/** Whether the key made this signature over this input. Never throws or rejects. */
export type SignatureCheck = (
  key: PublicKey,
  algorithm: Algorithm,
  input: string,
  signature: string,
) => MaybePromise<boolean>

/**
 * Whether a signature has the length that its key asks for, and is a number below an RSA modulus (RFC 8017
 * section 5.2.2). Deno accepts greater ones, so that one token would have several spellings.
 */
export function hasFittingSize(signature: Uint8Array, key: PublicKey, algorithm: Algorithm): boolean {
  const { modulus } = key
  if (algorithm.size !== undefined) return signature.length === algorithm.size * 2
  if (modulus === undefined || signature.length !== modulus.length) return false
  const at = modulus.findIndex((byte, index) => byte !== signature[index])
  const [own, limit] = [signature[at], modulus[at]]
  return own !== undefined && limit !== undefined && own < limit
}
