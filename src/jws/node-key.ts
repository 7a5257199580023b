import { Buffer } from 'node:buffer'
import { createPublicKey, type KeyObject, verify as verifySignature } from 'node:crypto'
import type { Algorithm } from './algorithms.js'
import { hasFittingSize, type KeyHandle, type PublicJwk, type PublicKey } from './public-key.js'

/** The longest token, in characters. */
const maxInputLength = 16 * 1024

/** Undefined where OpenSSL refuses the key, as a point that is not on its curve. */
export function importJwk({ members }: PublicJwk): KeyObject | undefined {
  try {
    return createPublicKey({ key: members, format: 'jwk' })
  } catch {
    return undefined
  }
}

/** Whether the key made this signature (canonical base64url) over this input. Never throws. */
export function isSignedBy(key: PublicKey, algorithm: Algorithm, input: string, signature: string): boolean {
  const { dsaEncoding, padding, saltLength } = algorithm.options
  const signatureBytes = Buffer.from(signature, 'base64url')
  if (!hasFittingSize(signatureBytes, key, algorithm) || input.length > maxInputLength) return false
  try {
    return verifySignature(
      algorithm.digest,
      Buffer.from(input, 'latin1'),
      { key: keyObject(key.handle), dsaEncoding, padding, saltLength },
      signatureBytes,
    )
  } catch {
    return false
  }
}

/** The same as `isSignedBy`, in the thread pool. RSA is not meant for it. */
export function verifyInPool(
  key: PublicKey,
  algorithm: Algorithm,
  input: string,
  signature: string,
  answer: (error: Error | null, isValid: boolean) => void,
): void {
  const { dsaEncoding } = algorithm.options
  const [bytes, signatureBytes] = [Buffer.from(input, 'latin1'), Buffer.from(signature, 'base64url')]
  verifySignature(
    algorithm.digest,
    bytes,
    { key: keyObject(key.handle), dsaEncoding },
    signatureBytes,
    answer,
  )
}

function keyObject(handle: KeyHandle): KeyObject {
  if ('imported' in handle) throw new TypeError('a key for Web Crypto')
  return handle
}
