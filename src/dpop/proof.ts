import { copyAscii } from '#runtime'
import type { Algorithm } from '../jws/algorithms.js'
import { isExact } from '../jws/base64url.js'
import { fits, importKey, type PublicKey, readPublicJwk } from '../jws/jwk.js'
import { decodeOwnMembers, headerJwk, inputOf, readHeader, splitCompact } from '../jws/jws.js'
import type { SignatureCheck } from '../jws/public-key.js'
import { Cache } from '../lib/cache.js'
import { isPromiseLike, type MaybePromise } from '../lib/promise.js'
import type { DenialCode } from '../protocol/denials.js'
import { maxProofLength } from '../protocol/limits.js'
import { dpopProofType } from '../protocol/token-types.js'
import { type CheckObserver, describe, isRefusal, Refusal } from '../refusal.js'
import type { RequestFacts } from '../request/request.js'
import { normalizeHttpUri, normalizePath } from './htu.js'

const maxJtiLength = 256

/** Estimated bytes of a cached key, without its header. */
const keySize = 2000

/** The parts of a policy that apply to proofs. Times are in seconds. */
export interface ProofPolicy {
  /** Normalised origins with path prefix, without a last slash. */
  readonly publicUrls: readonly string[]
  readonly token: { readonly clockTolerance: number }
  readonly proof: {
    readonly required: boolean
    readonly algorithms: ReadonlyMap<string, Algorithm>
    readonly maxAge: number
    readonly nonce: 'off' | 'required'
  }
}

/** The access token that a proof must match. */
export interface BoundToken {
  /** SHA-256, base64url. */
  readonly hash: string
  readonly token: { readonly keyThumbprint: string | undefined }
}

/** The token and the request that a proof must match. */
export interface ProofTarget {
  readonly bound: BoundToken
  readonly request: Pick<RequestFacts, 'method' | 'path' | 'isSimplePath'>
  /** Seconds since the epoch. */
  readonly now: number
}

/** A proof that matches its token and request. Its nonce is not checked yet, nor whether it is a replay. */
export interface VerifiedProof {
  readonly jti: string
  /** Seconds since the epoch. */
  readonly iat: number
  readonly exp: number | undefined
  readonly nbf: number | undefined
  /** The `nonce` claim, of any type. */
  readonly nonce: unknown
}

/** Verifies a DPoP proof up to its signature (RFC 9449 section 4.3). */
export type ProofVerifier = (
  text: string,
  target: ProofTarget,
  observer?: CheckObserver,
) => MaybePromise<VerifiedProof | Refusal>

/** The verified header of a proof. */
export interface ProofSigner {
  /** The encoded header. */
  readonly header: string
  readonly algorithm: Algorithm
  readonly key: PublicKey
}

/** Caches the keys of known headers, within about `cacheSize` bytes. */
export function createProofVerifier(
  policy: ProofPolicy,
  cacheSize: number,
  isSignedBy: SignatureCheck,
): ProofVerifier {
  // An agent sends the same header with every proof, so its key is imported once. A header is cached after a
  // signature has verified with it: forged proofs evict nothing.
  const signers = new Cache<ProofSigner>(cacheSize, ({ header }) => header.length + keySize)

  function admit(
    isSigned: boolean,
    isNew: boolean,
    claims: ProofClaims,
    signer: ProofSigner,
  ): VerifiedProof | Refusal {
    if (!isSigned) return new Refusal('proof_signature_invalid')
    if (isNew) signers.set(signer.header, signer)
    return claims
  }

  return (text, { bound, request, now }, observer) => {
    observer?.begin('form', 'one compact JWS of at most 8 KiB, with jti, htm, htu, iat and ath')
    const segments = splitCompact(text, maxProofLength)
    if (segments === undefined) return malformed('the proof is no compact JWS of at most 8 KiB')
    const claims = readClaims(segments.payload)
    const { header, signature } = segments
    if (isRefusal(claims)) return claims
    if (!isExact(signature)) return malformed('the signature is not base64url')
    const known = signers.get(header)
    const signer = known ?? readSigner(header, policy, bound.token.keyThumbprint, observer)
    if (isRefusal(signer)) return signer

    const mismatch = checkTarget(claims, signer, bound, request, policy.publicUrls, observer)
    if (mismatch !== undefined) return mismatch
    observer?.begin('iat', expectedAge(policy), `${claims.iat}, ${Math.round(now - claims.iat)} s ago`)
    if (!isFresh(claims, now, policy)) return stale(claims, now, policy)
    // After the cheap checks: the signature costs more than all of them.
    observer?.begin('signature', 'made by the key in jwk')
    const isSigned = isSignedBy(signer.key, signer.algorithm, inputOf(text, segments), signature)
    return isPromiseLike(isSigned)
      ? isSigned.then((answer) => admit(answer, known === undefined, claims, signer))
      : admit(isSigned, known === undefined, claims, signer)
  }
}

/**
 * Whether a proof was made with the key of the token, for this token and for this request (RFC 9449 section
 * 4.3).
 */
function checkTarget(
  claims: ProofClaims,
  signer: ProofSigner,
  bound: BoundToken,
  request: ProofTarget['request'],
  publicUrls: readonly string[],
  observer: CheckObserver | undefined,
): Refusal | undefined {
  if (signer.key.thumbprint !== bound.token.keyThumbprint) return keyMismatch()
  observer?.begin('ath', 'the hash of this access token')
  if (claims.ath !== bound.hash) return new Refusal('proof_token_mismatch')
  observer?.begin('htm', request.method, claims.htm)
  if (claims.htm !== request.method) {
    return mismatch('proof_method_mismatch', 'htm', request.method, claims.htm)
  }
  observer?.begin('htu', urisOf(publicUrls, request.path), withoutSecrets(claims.htu))
  if (!isSameUri(claims.htu, request, publicUrls)) {
    return mismatch('proof_uri_mismatch', 'htu', urisOf(publicUrls, request.path), withoutSecrets(claims.htu))
  }
  return undefined
}

function urisOf(publicUrls: readonly string[], path: string): string {
  return publicUrls.map((base) => base + path).join(' or ')
}

/**
 * Compares the thumbprint before the import: a stolen token could otherwise cause a costly import per
 * request.
 */
function readSigner(
  segment: string,
  policy: ProofPolicy,
  keyThumbprint: string | undefined,
  observer: CheckObserver | undefined,
): ProofSigner | Refusal {
  const header = readHeader(segment)
  if (header === undefined) return malformed('the header is no JOSE header in base64url')
  observer?.begin('typ', dpopProofType, header.typ)
  if (header.typ !== dpopProofType) return mismatch('proof_malformed', 'typ', dpopProofType, header.typ)
  observer?.begin('alg', [...policy.proof.algorithms.keys()].join(' or '), header.alg)
  const algorithm = policy.proof.algorithms.get(header.alg)
  if (algorithm === undefined) {
    const expected = [...policy.proof.algorithms.keys()].join(', ')
    return mismatch('proof_algorithm_not_allowed', 'alg', expected, header.alg)
  }
  observer?.begin('key', `jwk: a public key fit for ${header.alg}`)
  const jwk = headerJwk(header)
  const publicJwk = jwk && readPublicJwk(jwk)
  if (publicJwk === undefined || !fits(publicJwk, algorithm))
    return unfitKey('jwk is no public key fit for alg')
  observer?.begin('key_binding', shortened(keyThumbprint), shortened(publicJwk.thumbprint))
  if (publicJwk.thumbprint !== keyThumbprint) return keyMismatch()
  observer?.begin('key_import', 'jwk: a key that signatures can be verified with')
  const key = importKey(publicJwk)
  if (key === undefined) return unfitKey('jwk is no key that signatures can be verified with')
  return { header: copyAscii(segment), algorithm, key }
}

interface ProofClaims extends VerifiedProof {
  readonly htm: string
  readonly htu: string
  readonly ath: string
}

/** Makes every claim an own member: none is read from a polluted prototype. */
const noClaims: { readonly [name in keyof ProofClaims]?: unknown } = Object.freeze({
  jti: undefined,
  htm: undefined,
  htu: undefined,
  ath: undefined,
  iat: undefined,
  exp: undefined,
  nbf: undefined,
  nonce: undefined,
})

function readClaims(segment: string): ProofClaims | Refusal {
  const payload = decodeOwnMembers(segment)?.members
  if (payload === undefined) return malformed('the payload is no JSON object in base64url')
  const { jti, htm, htu, ath, iat, exp, nbf, nonce } = { ...noClaims, ...payload }
  if (typeof jti !== 'string' || jti === '' || jti.length > maxJtiLength) {
    return illTyped('jti', `1 to ${maxJtiLength} characters`, jti)
  }
  if (typeof htm !== 'string') return illTyped('htm', 'a string', htm)
  if (typeof htu !== 'string') return illTyped('htu', 'a string', htu)
  if (typeof ath !== 'string') return illTyped('ath', 'a string', ath)
  if (typeof iat !== 'number') return illTyped('iat', 'a number', iat)
  if (!isOptionalNumber(exp)) return illTyped('exp', 'a number', exp)
  if (!isOptionalNumber(nbf)) return illTyped('nbf', 'a number', nbf)
  return { jti, htm, htu, ath, iat, exp, nbf, nonce }
}

function isOptionalNumber(value: unknown): value is number | undefined {
  return value === undefined || typeof value === 'number'
}

function malformed(reason: string): Refusal {
  return new Refusal('proof_malformed', { reason })
}

/** Reports only the type: the value comes from the caller. */
function illTyped(claim: string, expected: string, value: unknown): Refusal {
  const found = value === undefined ? 'nothing' : typeof value
  return new Refusal('proof_malformed', {
    reason: `${claim} is missing or not of its type`,
    claim,
    expected,
    found,
  })
}

function mismatch(code: DenialCode, claim: string, expected: string, found: unknown): Refusal {
  const reason = `${claim} of the proof is another`
  return new Refusal(code, {
    reason,
    claim,
    expected: describe(expected),
    found: describe(found),
    unverified: true,
  })
}

/** Query and user information are not compared, and both may contain a secret. */
function withoutSecrets(uri: string): string {
  return uri.replace(/[?#].*$/s, '').replace(/\/\/[^/]*@/, '//')
}

function unfitKey(reason: string): Refusal {
  return new Refusal('proof_key_invalid', { reason, claim: 'jwk' })
}

/** Enough of a thumbprint to compare two of them by eye. */
function shortened(thumbprint: string | undefined): string {
  return `the key with thumbprint ${thumbprint?.slice(0, 12)}…`
}

function expectedAge({ proof, token }: ProofPolicy): string {
  if (proof.nonce === 'required') return 'any: the nonce tells the time'
  return `at most ${proof.maxAge} s ago, at most ${token.clockTolerance} s ahead`
}

function keyMismatch(): Refusal {
  return new Refusal('proof_key_mismatch', {
    reason: 'the proof is signed by another key than the one in cnf of the token',
    claim: 'jwk',
  })
}

/** Why `isFresh` is false. */
export function stale({ iat, exp, nbf }: VerifiedProof, now: number, policy: ProofPolicy): Refusal {
  const { maxAge } = policy.proof
  const age = Math.round(now - iat)
  const isTimedByNonce = policy.proof.nonce === 'required'
  if (!isTimedByNonce && now - iat > maxAge) {
    const reason = `the proof is ${age} s old`
    return new Refusal('proof_stale', {
      reason,
      claim: 'iat',
      expected: `at most ${maxAge} s old`,
      found: String(iat),
      unverified: true,
    })
  }
  if (!isTimedByNonce && iat > now + policy.token.clockTolerance) {
    const reason = `the proof is ${-age} s ahead of this clock`
    const expected = `at most ${policy.token.clockTolerance} s ahead`
    return new Refusal('proof_stale', {
      reason,
      claim: 'iat',
      expected,
      found: String(iat),
      unverified: true,
    })
  }
  const isOver = exp !== undefined && now - policy.token.clockTolerance >= exp
  const reason = isOver ? 'exp of the proof has passed' : 'nbf of the proof lies in the future'
  return new Refusal('proof_stale', {
    reason,
    claim: isOver ? 'exp' : 'nbf',
    found: String(isOver ? exp : nbf),
    unverified: true,
  })
}

/** `exp` and `nbf` are optional in a proof. They count if they are there (RFC 7519 section 4.1.4). */
export function isFresh({ iat, exp, nbf }: VerifiedProof, now: number, policy: ProofPolicy): boolean {
  const { clockTolerance } = policy.token
  // With required nonces the nonce dates the proof, so a wrong client clock does no harm.
  const isTimedByNonce = policy.proof.nonce === 'required'
  if (!isTimedByNonce && (iat > now + clockTolerance || now - iat > policy.proof.maxAge)) return false
  if (exp !== undefined && now - clockTolerance >= exp) return false
  return nbf === undefined || nbf <= now + clockTolerance
}

/** Whether `htu` is this path under one of the public URLs (RFC 9449 section 4.3). */
function isSameUri(
  htu: string,
  { path, isSimplePath }: ProofTarget['request'],
  publicUrls: readonly string[],
): boolean {
  if (isSimplePath) {
    // A simple path is in normal form already, so equal text is enough.
    for (const base of publicUrls) {
      if (htu.length === base.length + path.length && htu.startsWith(base) && htu.endsWith(path)) return true
    }
  }
  const normalizedPath = path.startsWith('/') ? normalizePath(path) : undefined
  const normalized = normalizeHttpUri(htu)
  if (normalized === undefined || normalizedPath === undefined) return false
  return publicUrls.some((base) => normalized === base + normalizedPath)
}
