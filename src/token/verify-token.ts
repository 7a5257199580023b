import { copyAscii, sha256 } from '#runtime'
import { type Assertion, readAssertions } from '../delegation/assertion.js'
import type { DelegatedToken } from '../delegation/delegation.js'
import type { BoundToken } from '../dpop/proof.js'
import type { Algorithm } from '../jws/algorithms.js'
import { isExact } from '../jws/base64url.js'
import { decodeObject, inputOf, readHeader, splitCompact } from '../jws/jws.js'
import type { SignatureCheck } from '../jws/public-key.js'
import type { JsonObject } from '../jws/strict-json.js'
import { findSigner } from '../keys/find-signer.js'
import type { IssuerKey } from '../keys/issuer-key.js'
import { Cache } from '../lib/cache.js'
import { isPromiseLike, type MaybePromise } from '../lib/promise.js'
import type { CompiledIssuer, TokenRules } from '../policy/issuer.js'
import type { DenialCode } from '../protocol/denials.js'
import { maxTokenLength } from '../protocol/limits.js'
import { type CheckObserver, describe, isRefusal, Refusal } from '../refusal.js'
import { findAgent, readTokenClaims, type TokenClaims } from './claims.js'
import { type Identity, toIdentity } from './identity.js'
import { checkTokenKind } from './token-kind.js'
import { checkTokenTime } from './token-time.js'
import type { TrustedIssuer } from './trusted-issuer.js'
import type { Issuers } from './trusted-issuers.js'

/** The part of a policy that applies to tokens. */
export interface TokenPolicy {
  readonly issuers: ReadonlyMap<string, CompiledIssuer>
  /** All that is allowed for the tokens of any issuer. Applies to tokens of unknown issuers. */
  readonly anyToken: TokenRules
  readonly proof: { readonly algorithms: ReadonlyMap<string, Algorithm> }
  readonly delegation: { readonly maxDepth: number }
}

/** A verified token of a trusted issuer for this API, with the values that are derived from it once. */
export interface VerifiedToken extends BoundToken, DelegatedToken {
  /** The compact JWS. */
  readonly text: string
  readonly token: TokenClaims
  /** The part of the grant that depends on the token alone. */
  readonly identity: Identity
  /** SHA-256 of the token, base64url. `ath` of a proof must equal it (RFC 9449 section 4.2). */
  readonly hash: string
  /** The ids under which this token can be revoked. Set by the first revocation check. */
  revocationIds: readonly string[] | undefined
  /** Estimated memory, in bytes. */
  readonly size: number
  readonly issuer: TrustedIssuer
  /** The key that signed the token. */
  readonly key: IssuerKey
}

/** Verifies access tokens: from their shape to their lifetime. */
export interface TokenVerifier {
  /** Times are in seconds. `clock` is read again after waiting for keys or the thread pool. */
  verify(
    text: string,
    now: number,
    clock: () => number,
    observer?: CheckObserver,
  ): MaybePromise<VerifiedToken | Refusal>
  /**
   * Whether a credential is not for this API: it does not have three segments, or it is a JWT of an issuer
   * that is not trusted. A malformed token with three segments is not foreign.
   */
  isForeign(text: string): MaybePromise<boolean>
}

/** Caches verified tokens within `cacheSize` bytes. The size of a token is estimated, and never too low. */
export function createTokenVerifier(
  policy: TokenPolicy,
  issuers: Issuers,
  cacheSize: number,
  isSignedBy: SignatureCheck,
): TokenVerifier {
  // Only tokens that passed every check are cached, so that junk evicts nothing.
  const cache = new Cache<VerifiedToken>(cacheSize, ({ size }) => size)
  // The header of the last verified token. Nearly all tokens of an issuer have the same header.
  let lastHeader: TokenHeader | undefined

  function verifyUncached(
    text: string,
    now: number,
    clock: () => number,
    observer: CheckObserver | undefined,
  ): MaybePromise<VerifiedToken | Refusal> {
    const unverified = readUnverified(text, lastHeader)
    if (isRefusal(unverified)) return unverified
    const issuer = issuers.find(unverified.iss)
    return isPromiseLike(issuer)
      ? issuer.then((found) => verifyWithIssuer(found, unverified, clock(), clock, observer))
      : verifyWithIssuer(issuer, unverified, now, clock, observer)
  }

  function verifyWithIssuer(
    issuer: TrustedIssuer | Refusal | undefined,
    unverified: UnverifiedToken,
    now: number,
    clock: () => number,
    observer: CheckObserver | undefined,
  ): MaybePromise<VerifiedToken | Refusal> {
    if (isRefusal(issuer)) return observer?.begin('issuer') ?? issuer
    const { header, input, signature } = unverified
    const algorithm = checkHeader(header, issuer?.entry, policy, observer)
    if (isRefusal(algorithm)) return algorithm
    observer?.begin('issuer', [...policy.issuers.keys()].join(' or '), unverified.iss)
    if (issuer === undefined) return issuerNotTrusted(unverified.iss, policy)
    const signed = { kid: header.kid, algorithm, input, signature }
    const signer = findSigner(issuer.keys, signed, isSignedBy, observer)
    return isPromiseLike(signer)
      ? signer.then((key) => verifyClaims(unverified, issuer, key, clock(), observer))
      : verifyClaims(unverified, issuer, signer, now, observer)
  }

  /** The checks after the signature. `key` is the key that signed, or the refusal of the signature. */
  function verifyClaims(
    unverified: UnverifiedToken,
    issuer: TrustedIssuer,
    key: IssuerKey | Refusal,
    now: number,
    observer: CheckObserver | undefined,
  ): VerifiedToken | Refusal {
    if (isRefusal(key)) return withIssuer(key, issuer.entry)
    const verified = toVerifiedToken(unverified, issuer, key, policy, observer)
    if (isRefusal(verified)) return withIssuer(verified, issuer.entry)
    const denial = checkTokenTime(verified.token, now, observer)
    if (denial !== undefined) return withIssuer(denial, issuer.entry)
    cache.set(cacheKeyOf(verified.text), verified)
    lastHeader = unverified.header
    return verified
  }

  return {
    verify(text, now, clock, observer) {
      observer?.begin('form', 'a compact JWS of at most 16 KiB', `${text.length} characters`)
      if (text.length > maxTokenLength) return malformed('the token is longer than 16 KiB')
      const cached = cache.get(cacheKeyOf(text))
      // Meanwhile the issuer may have removed the key, or may not be trusted any more.
      const isCurrent =
        cached?.text === text && cached.issuer.keys.holds(cached.key) && cached.issuer.isCurrent()
      if (!isCurrent) return verifyUncached(text, now, clock, observer)
      const denial = checkTokenTime(cached.token, now, observer)
      if (denial === undefined) return cached
      cache.delete(cacheKeyOf(text))
      return withIssuer(denial, cached.issuer.entry)
    },
    isForeign(text) {
      if (text === '' || text.split('.', 4).length !== 3) return text !== ''
      const unverified = readUnverified(text, lastHeader)
      if (isRefusal(unverified)) return false
      const issuer = issuers.find(unverified.iss)
      return isPromiseLike(issuer) ? issuer.then((found) => found === undefined) : issuer === undefined
    },
  }
}

/**
 * Cache key: the last 12 characters. A collision evicts one of two tokens; the full text is compared on a
 * hit.
 */
function cacheKeyOf(text: string): string {
  return text.slice(-12)
}

/** The header of a token, not checked yet: the allowed values depend on the issuer. */
interface TokenHeader {
  /** The encoded header. */
  readonly text: string
  readonly typ: string | undefined
  readonly alg: string
  readonly kid: string | undefined
}

/** A well-formed token. Its signature is not verified yet. */
interface UnverifiedToken {
  readonly text: string
  readonly header: TokenHeader
  readonly payload: JsonObject
  /** Used only to select one of the trusted issuers, whose keys then verify the token. */
  readonly iss: unknown
  /** The signing input (RFC 7515 section 5.2). */
  readonly input: string
  /** Canonical base64url. */
  readonly signature: string
}

/** `lastHeader` is reused if the token has the same header. */
function readUnverified(text: string, lastHeader: TokenHeader | undefined): UnverifiedToken | Refusal {
  const segments = splitCompact(text, maxTokenLength)
  if (segments === undefined) return malformed('the token does not have three segments', shapeOf(text))
  const header = lastHeader?.text === segments.header ? lastHeader : readTokenHeader(segments.header)
  if (isRefusal(header)) return header
  const payload = decodeObject(segments.payload)
  const { signature } = segments
  if (payload === undefined) return malformed('the payload is not one JSON object in canonical base64url')
  if (!isExact(signature)) return malformed('the signature is not canonical base64url')
  const { iss } = payload.members
  return { text, header, payload, iss, input: inputOf(text, segments), signature }
}

function readTokenHeader(text: string): TokenHeader | Refusal {
  const header = readHeader(text)
  if (header === undefined)
    return malformed('the header is not a JOSE header in canonical base64url, or has crit or b64')
  const { kid } = header.members
  if (!isKeyId(kid)) return malformed('kid is not a string of at most 256 characters')
  const { typ, alg } = header
  // An empty kid counts as absent (RFC 7515 section 4.1.4).
  return { text: copyAscii(text), typ, alg, kid: kid === '' ? undefined : kid }
}

/** Checks `typ` and `alg` against the issuer's entry. For an unknown issuer, against all entries together. */
function checkHeader(
  { typ, alg }: TokenHeader,
  entry: CompiledIssuer | undefined,
  policy: TokenPolicy,
  observer: CheckObserver | undefined,
): Algorithm | Refusal {
  const { types, allowsNoType, algorithms } = entry?.token ?? policy.anyToken
  observer?.begin('typ', [...types, ...(allowsNoType ? ['no typ'] : [])].join(' or '), typ ?? 'no typ')
  if (typ === undefined ? !allowsNoType : !types.has(typ)) {
    const allowed = allowsNoType ? [...types, 'no typ'] : types
    return headerRefusal('token_type_not_allowed', 'typ', allowed, typ, entry)
  }
  observer?.begin('alg', [...algorithms.keys()].join(' or '), alg)
  return algorithms.get(alg) ?? headerRefusal('algorithm_not_allowed', 'alg', algorithms.keys(), alg, entry)
}

function malformed(reason: string, found?: string): Refusal {
  return new Refusal(
    'token_malformed',
    found === undefined ? { reason } : { reason, found, unverified: true },
  )
}

/** A description of a credential that is not a token: it may be somebody else's secret. */
function shapeOf(text: string): string {
  if (text === '') return 'no token'
  if (/^(undefined|null|none|nan|true|false|\[object \w+\])$/i.test(text)) return `the word ${text}`
  const count = text.split('.', 20).length
  return count === 1 ? '1 segment' : `${count} segments`
}

function headerRefusal(
  code: DenialCode,
  claim: string,
  allowed: Iterable<string>,
  found: unknown,
  entry: CompiledIssuer | undefined,
): Refusal {
  const expected = describe([...allowed].join(' or '))
  const reason = `${claim} of the token is not allowed`
  const refusal = new Refusal(code, { reason, claim, expected, found: describe(found), unverified: true })
  return entry === undefined ? refusal : withIssuer(refusal, entry)
}

/** Adds the issuer's entry to the cause. */
function withIssuer({ code, cause, details, agent }: Refusal, { name }: CompiledIssuer): Refusal {
  return new Refusal(code, cause && { ...cause, issuer: describe(name) }, details, agent)
}

/** Issuers are compared as strings (RFC 9068 section 4). A trailing slash is the most frequent mistake. */
function issuerNotTrusted(found: unknown, policy: TokenPolicy): Refusal {
  const names = [...policy.issuers.keys()]
  const differsBySlash =
    typeof found === 'string' && names.some((name) => name === `${found}/` || `${name}/` === found)
  const reason = differsBySlash
    ? 'iss differs from an issuer of the policy by a trailing slash'
    : 'iss is not an issuer of the policy'
  const expected = describe(names.join(' or '))
  return new Refusal('issuer_not_trusted', {
    reason,
    claim: 'iss',
    expected,
    found: describe(found),
    unverified: true,
  })
}

/** Checks kind, claims and audience of a token whose signature has verified. */
function toVerifiedToken(
  { text, payload, input }: UnverifiedToken,
  issuer: TrustedIssuer,
  key: IssuerKey,
  policy: TokenPolicy,
  observer: CheckObserver | undefined,
): VerifiedToken | Refusal {
  const { entry } = issuer
  observer?.begin('kind', "an access token, by its claims and those of the issuer's entry")
  const wrongKind = checkTokenKind(payload.members, entry)
  if (wrongKind !== undefined) return withAgent(wrongKind, payload, entry)
  observer?.begin('claims', `those of profile ${entry.profile}, of their types`)
  const token = readTokenClaims(payload, entry, input)
  if (isRefusal(token)) return withAgent(token, payload, entry)
  observer?.begin('audience', [...entry.audiences].join(' or '), token.audiences.join(' '))
  const accepted = token.audiences.filter((name) => entry.audiences.has(name))
  if (accepted.length === 0) {
    const expected = describe([...entry.audiences].join(' or '))
    const found = describe(token.audiences.join(' '))
    const reason = 'the token is not for an audience of this API'
    const cause = { reason, claim: token.names.audience, expected, found }
    return new Refusal('audience_mismatch', cause, undefined, token.agent)
  }
  const { maxDepth } = policy.delegation
  const assertions = readAssertions(token.intent.delegation, maxDepth, policy.proof.algorithms)
  return {
    text: copyAscii(text),
    token,
    identity: toIdentity(token),
    audiences: accepted,
    hash: sha256(text),
    assertions,
    revocationIds: undefined,
    delegation: undefined,
    size: estimateSize(text, token, assertions),
    issuer,
    key,
  }
}

/** In bytes. The factors were measured. */
function estimateSize(text: string, token: TokenClaims, assertions: readonly Assertion[] | Refusal): number {
  let size = 2000 + 2 * text.length + 125 * token.valueCount + 40 * token.scopes.length
  if (isRefusal(assertions)) return size
  for (const { scopes, valueCount } of assertions) size += 3500 + 120 * scopes.size + 125 * valueCount
  return size
}

function isKeyId(kid: unknown): kid is string | undefined {
  return kid === undefined || (typeof kid === 'string' && kid.length <= 256)
}

/** Adds the agent for telemetry. The signature has verified, so the issuer attests the claim. */
function withAgent({ code, cause, details }: Refusal, payload: JsonObject, entry: CompiledIssuer): Refusal {
  return new Refusal(code, cause, details, findAgent(payload, entry))
}
