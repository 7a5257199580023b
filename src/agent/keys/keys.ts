import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose'
import { type AgentKeyAlgorithm, deriveKeyPair } from './derive.js'

export interface KeyPair {
  privateKey: CryptoKey
  publicKey: CryptoKey
}

/** An agent's proof-of-possession key. It stays in closures, and no public API returns it. */
export interface AgentKey {
  alg: string
  privateKey: CryptoKey
  /** The required public members, for the `jwk` header of a proof. */
  jwk: JWK
  /** RFC 7638 thumbprint, base64url SHA-256. */
  thumbprint: string
}

export interface KeyOptions {
  /** At least 32 random bytes, or a Web Crypto HKDF key. Any number of agents can use the same seed. */
  seed?: Uint8Array | CryptoKey | undefined
  /** A key pair of the caller. The private key must be non-extractable. */
  keys?: KeyPair | undefined
  /** Algorithm of a derived or random key. Default ES256, which every DPoP server accepts. */
  algorithm?: AgentKeyAlgorithm | undefined
}

/**
 * The key of one agent: the caller's, or derived from a seed, or else random and lost with the client.
 *
 * @throws TypeError synchronously, if the options contradict each other or a key is not usable
 */
export function createAgentKey(id: string, options: KeyOptions): Promise<AgentKey> {
  const { seed, keys, algorithm = 'ES256' } = options
  if (seed !== undefined && keys !== undefined)
    throw new TypeError('seed and keys exclude each other: set only one of them')
  if (!(algorithm === 'ES256' || algorithm === 'Ed25519'))
    throw new TypeError('algorithm must be ES256 or Ed25519')
  if (seed !== undefined && !isSeed(seed)) {
    throw new TypeError('seed must be at least 32 bytes, or an HKDF CryptoKey for deriveBits')
  }
  if (keys) {
    signingAlgorithm(keys.privateKey, 'keys.privateKey')
    if (keys.publicKey?.type !== 'public') throw new TypeError('keys.publicKey must be a public CryptoKey')
  }
  return loadKey(id, { seed, keys, algorithm })
}

function isSeed(seed: Uint8Array | CryptoKey): boolean {
  if (ArrayBuffer.isView(seed)) return seed.byteLength >= 32
  return seed?.algorithm?.name === 'HKDF' && seed.usages.includes('deriveBits')
}

async function loadKey(id: string, { seed, keys, algorithm = 'ES256' }: KeyOptions): Promise<AgentKey> {
  const pair = keys ?? (seed ? await deriveKeyPair(seed, id, algorithm) : await generateKeyPair(algorithm))
  const jwk = await exportJWK(pair.publicKey)
  return {
    alg: signingAlgorithm(pair.privateKey, 'privateKey'),
    privateKey: pair.privateKey,
    jwk,
    thumbprint: await calculateJwkThumbprint(jwk),
  }
}

/**
 * The JWS algorithm of a non-extractable private signing key.
 *
 * @throws TypeError for any other key
 */
export function signingAlgorithm(key: CryptoKey, path: string): string {
  const algorithm: { name?: string; namedCurve?: string; hash?: { name: string } } = key?.algorithm ?? {}
  const { name, namedCurve, hash } = algorithm
  const alg = ALGORITHMS[`${name} ${namedCurve ?? hash?.name ?? ''}`.trim()]
  if (!alg || key.type !== 'private' || !key.usages.includes('sign')) {
    throw new TypeError(
      `${path} must be a private signing CryptoKey of ${Object.values(ALGORITHMS).join(', ')}`,
    )
  }
  // An extractable key could be logged, or passed to another agent of the process.
  if (key.extractable) throw new TypeError(`${path} must not be extractable`)
  return alg
}

const ALGORITHMS: Record<string, string> = {
  'ECDSA P-256': 'ES256',
  'ECDSA P-384': 'ES384',
  'ECDSA P-521': 'ES512',
  Ed25519: 'Ed25519',
  'RSA-PSS SHA-256': 'PS256',
  'RSASSA-PKCS1-v1_5 SHA-256': 'RS256',
}
