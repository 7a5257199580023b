import { type CryptoKey, exportJWK, importJWK } from 'jose'
import { utf8 } from './bytes.js'

export type AgentKeyAlgorithm = 'ES256' | 'Ed25519'

/**
 * Derives the key pair of one agent from seed, id and algorithm. The keys of two agents are independent.
 *
 * HKDF (RFC 5869) with SHA-256, salt `ajwt/agent`, info `v1`, algorithm, agent id and a counter byte,
 * separated by NUL. The first output is the Ed25519 seed. The first output in range is the P-256 scalar.
 */
export async function deriveKeyPair(seed: Uint8Array | CryptoKey, id: string, algorithm: AgentKeyAlgorithm) {
  const base = await seedKey(seed)
  const expand = async (counter: number) => {
    // No id or algorithm contains NUL, so the info is unambiguous.
    const info = new Uint8Array([...utf8(`v1\0${algorithm}\0${id}\0`), counter])
    const parameters = { name: 'HKDF', hash: 'SHA-256', salt: utf8('ajwt/agent'), info }
    return new Uint8Array(await crypto.subtle.deriveBits(parameters, base, 256))
  }
  const secret = algorithm === 'ES256' ? await scalarInRange(expand) : await expand(0)
  return keyPair(secret, algorithm)
}

/**
 * Candidate testing (FIPS 186-5, A.2.2): an output outside [1, n-1] is discarded, because reducing it modulo
 * n would favour small scalars. Only one in 2^32 is discarded, so one counter byte is enough.
 */
export async function scalarInRange(expand: (counter: number) => Promise<Uint8Array>): Promise<Uint8Array> {
  for (let counter = 0; counter < 256; counter++) {
    const candidate = await expand(counter)
    const value = BigInt(`0x${Array.from(candidate, (byte) => byte.toString(16).padStart(2, '0')).join('')}`)
    if (value > 0n && value < P256_ORDER) return candidate
  }
  throw new Error('no scalar in range')
}

const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n

async function seedKey(seed: Uint8Array | CryptoKey): Promise<CryptoKey> {
  if (!ArrayBuffer.isView(seed)) return seed
  // importKey copies the bytes before it returns, so the caller may wipe them.
  return crypto.subtle.importKey('raw', seed as Uint8Array<ArrayBuffer>, 'HKDF', false, ['deriveBits'])
}

/**
 * Web Crypto cannot compute a public key from a secret. So the secret is imported as PKCS #8 without the
 * public key, and the JWK export contains it. Only the second, non-extractable import leaves this function.
 */
async function keyPair(secret: Uint8Array, algorithm: AgentKeyAlgorithm) {
  const { prefix, parameters } = PKCS8[algorithm]
  const pkcs8 = new Uint8Array([...prefix, ...secret])
  const exportable = await crypto.subtle.importKey('pkcs8', pkcs8, parameters, true, ['sign'])
  const privateJwk = await exportJWK(exportable)
  const { d: _, ...jwk } = privateJwk
  return {
    privateKey: (await importJWK(privateJwk, algorithm, { extractable: false })) as CryptoKey,
    publicKey: (await importJWK(jwk, algorithm)) as CryptoKey,
  }
}

/** The PKCS #8 bytes before the 32 secret bytes (RFC 5958, with RFC 5915 and RFC 8410). */
const PKCS8 = {
  ES256: {
    prefix: bytes('3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420'),
    parameters: { name: 'ECDSA', namedCurve: 'P-256' },
  },
  Ed25519: {
    prefix: bytes('302e020100300506032b657004220420'),
    parameters: { name: 'Ed25519' },
  },
}

function bytes(hex: string): number[] {
  return Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16))
}
