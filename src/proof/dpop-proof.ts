import { Buffer } from 'node:buffer'
import { LRUCache } from 'lru-cache'
import type { DenialCode } from '../denials.js'
import type { Algorithm } from '../jose/algorithms.js'
import { decodeBase64url } from '../jose/base64url.js'
import { decodeObject, headerJwk, isSignedBy, readHeader, splitCompact } from '../jose/jws.js'
import { own } from '../jose/own.js'
import { fits, importPublicKey, type PublicKey } from '../jose/public-key.js'
import type { CompiledPolicy } from '../policy/compile.js'
import { normalizeHttpUri, normalizePath } from './uri.js'

const maxProofLength = 8 * 1024
const maxJtiLength = 256
/** Characters of proof headers whose key is kept; each entry counts as a thousand more. */
const maxCachedLength = 32 * 1024 * 1024
const entryLength = 1000

/** What a proof has to be made for. */
export interface ProofTarget {
  /** The thumbprint of the key that the token is bound to. */
  readonly keyThumbprint: string
  /** SHA-256 of the token, base64url. */
  readonly tokenHash: string
  /** As on the wire. */
  readonly method: string
  /** The path on the wire. */
  readonly path: string
  /** Seconds since the epoch. */
  readonly now: number
}

/** A proof that is right for its request, but for its nonce and for having been used before. */
export interface VerifiedProof {
  readonly jti: string
  /** Seconds since the epoch. */
  readonly iat: number
  /** Whatever the proof has as `nonce`. */
  readonly nonce: unknown
}

/** Verifies a DPoP proof (RFC 9449 section 4.3), or names what is wrong with it. */
export type ProofVerifier = (text: string, target: ProofTarget) => VerifiedProof | DenialCode

interface ProofKey {
  readonly algorithm: Algorithm
  readonly key: PublicKey
}

export function createProofVerifier(policy: CompiledPolicy): ProofVerifier {
  // An agent sends the same header with every proof: its key is read once. A header gets in only after it has
  // come with a signature that verified.
  const headers = new LRUCache<string, ProofKey>({
    maxSize: maxCachedLength,
    sizeCalculation: (_, header) => header.length + entryLength,
  })

  return (text, target) => {
    const segments = splitCompact(text, maxProofLength)
    if (segments === undefined) return 'proof_malformed'
    const claims = readClaims(segments.payload)
    const signature = decodeBase64url(segments.signature)
    if (claims === undefined || signature === undefined) return 'proof_malformed'
    const known = headers.get(segments.header)
    const signer = known ?? readSigner(segments.header, policy)
    if (typeof signer === 'string') return signer

    if (signer.key.thumbprint !== target.keyThumbprint) return 'proof_key_mismatch'
    if (claims.ath !== target.tokenHash) return 'proof_token_mismatch'
    if (claims.htm !== target.method) return 'proof_method_mismatch'
    if (!isSameUri(claims.htu, target.path, policy.publicUrls)) return 'proof_uri_mismatch'
    if (!isFresh(claims, target.now, policy)) return 'proof_stale'
    // Last but for the nonce and the replay, since it costs more than all the rest.
    const input = text.slice(0, segments.header.length + 1 + segments.payload.length)
    if (!isSignedBy(signer.key, signer.algorithm, input, signature)) return 'proof_signature_invalid'
    if (known === undefined) headers.set(copyOf(segments.header), signer)
    return claims
  }
}

/** A slice of a text keeps all of it in memory: this one is of a header, and the text is the whole proof. */
function copyOf(header: string): string {
  return Buffer.from(header, 'latin1').toString('latin1')
}

function readSigner(segment: string, policy: CompiledPolicy): ProofKey | DenialCode {
  const header = readHeader(segment)
  if (header?.typ !== 'dpop+jwt') return 'proof_malformed'
  const algorithm = policy.proof.algorithms.get(header.alg)
  if (algorithm === undefined) return 'proof_algorithm_not_allowed'
  const jwk = headerJwk(header)
  const key = jwk && importPublicKey(jwk)
  if (key === undefined || !fits(key, algorithm)) return 'proof_key_invalid'
  return { algorithm, key }
}

interface ProofClaims extends VerifiedProof {
  readonly htm: string
  readonly htu: string
  readonly ath: string
  readonly exp: number | undefined
  readonly nbf: number | undefined
}

function readClaims(segment: string): ProofClaims | undefined {
  const payload = decodeObject(segment)
  if (payload === undefined) return undefined
  const jti = own(payload, 'jti')
  const htm = own(payload, 'htm')
  const htu = own(payload, 'htu')
  const ath = own(payload, 'ath')
  const iat = own(payload, 'iat')
  const exp = own(payload, 'exp')
  const nbf = own(payload, 'nbf')
  if (typeof jti !== 'string' || jti === '' || jti.length > maxJtiLength) return undefined
  if (typeof htm !== 'string' || typeof htu !== 'string' || typeof ath !== 'string') return undefined
  if (typeof iat !== 'number' || !isOptionalNumber(exp) || !isOptionalNumber(nbf)) return undefined
  return { jti, htm, htu, ath, iat, exp, nbf, nonce: own(payload, 'nonce') }
}

function isOptionalNumber(value: unknown): value is number | undefined {
  return value === undefined || typeof value === 'number'
}

/** A proof needs no `exp` and no `nbf`; one that has them means them (RFC 7519 section 4.1.4). */
function isFresh({ iat, exp, nbf }: ProofClaims, now: number, policy: CompiledPolicy): boolean {
  const { clockTolerance } = policy.token
  if (iat > now + clockTolerance || now - iat > policy.proof.maxAge) return false
  if (exp !== undefined && now - clockTolerance >= exp) return false
  return nbf === undefined || nbf <= now + clockTolerance
}

/** Whether `htu` is this path under one of the URLs that clients see the app at (RFC 9449 section 4.3). */
function isSameUri(htu: string, path: string, publicUrls: readonly string[]): boolean {
  const isPlain = path.startsWith('/')
  if (isPlain && publicUrls.some((base) => htu.length === base.length + path.length && htu === base + path)) {
    // Equal as written, and a path in its normal form: equal after normalisation.
    if (normalizePath(path) === path) return true
  }
  const normalizedPath = isPlain ? normalizePath(path) : undefined
  const normalized = normalizeHttpUri(htu)
  if (normalized === undefined || normalizedPath === undefined) return false
  return publicUrls.some((base) => normalized === base + normalizedPath)
}
