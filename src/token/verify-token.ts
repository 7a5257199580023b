import { type Assertion, readAssertions } from '../delegation/assertion.js'
import type { DelegatedToken } from '../delegation/delegation.js'
import type { BoundToken } from '../dpop/proof.js'
import type { Algorithm } from '../jws/algorithms.js'
import { isExact } from '../jws/base64url.js'
import { decodeObject, inputOf, readHeader, splitCompact } from '../jws/jws.js'
import { sha256 } from '../jws/sha256.js'
import type { SignatureCheck } from '../jws/signature-check.js'
import type { JsonObject } from '../jws/strict-json.js'
import { findSigner } from '../keys/find-signer.js'
import type { IssuerKey } from '../keys/issuer-key.js'
import { Cache } from '../lib/cache.js'
import { isPromiseLike, type MaybePromise } from '../lib/promise.js'
import { copyAscii } from '../lib/strings.js'
import type { CompiledIssuer, TokenRules } from '../policy/issuer.js'
import type { DenialCode } from '../protocol/denials.js'
import { describe, isRefusal, Refusal } from '../refusal.js'
import { agentOf, type IntentToken, readIntentToken } from './claims.js'
import { type Identity, toIdentity } from './identity.js'
import { findOtherKind } from './token-kind.js'
import { checkTokenTime } from './token-time.js'
import type { Issuers, TrustedIssuer } from './trusted-issuers.js'

/** In characters, all of them ASCII. */
const maxTokenLength = 16 * 1024

/** The parts of a policy that tokens are judged by. */
export interface TokenPolicy {
  readonly issuers: ReadonlyMap<string, CompiledIssuer>
  /** What tokens of some issuer may be: for tokens of no known issuer. */
  readonly anyToken: TokenRules
  readonly proof: { readonly algorithms: ReadonlyMap<string, Algorithm> }
  readonly delegation: { readonly maxDepth: number }
}

/** A token that an issuer of the policy signed for this API, with all that is derived from it once. */
export interface VerifiedToken extends BoundToken, DelegatedToken {
  /** The compact JWS. */
  readonly text: string
  readonly token: IntentToken
  /** What a grant says of it. */
  readonly identity: Identity
  /** SHA-256 of the token, base64url: what a proof's `ath` has to be (RFC 9449 section 4.2). */
  readonly hash: string
  /** What a revocation of this token could be listed under, once that was asked for. */
  revocationIds: readonly string[] | undefined
  /** Bytes of memory that it takes, about. */
  readonly size: number
  readonly issuer: TrustedIssuer
  /** The key that has signed the token. */
  readonly key: IssuerKey
}

/** Verifies access tokens up to their lifetime. */
export interface TokenVerifier {
  /** The token, or what is wrong with it. The clock, in seconds, is read again after waiting. */
  verify(text: string, now: number, clock: () => number): MaybePromise<VerifiedToken | Refusal>
  /**
   * Whether a text is not for this API: it has not three parts, or it is a JWT that names no trusted issuer. What strict
   * reading refuses is no foreign token.
   */
  isForeign(text: string): MaybePromise<boolean>
}

/** Keeps verified tokens within `cacheSize` bytes, by an estimate that none exceeds. */
export function createTokenVerifier(
  policy: TokenPolicy,
  issuers: Issuers,
  cacheSize: number,
  isSignedBy: SignatureCheck,
): TokenVerifier {
  // Only tokens that passed every check are cached: junk evicts nothing.
  const cache = new Cache<VerifiedToken>(cacheSize, ({ size }) => size)
  // The header of the last token that verified. Nearly all tokens of an issuer have the same one.
  let lastHeader: TokenHeader | undefined

  function verifyAnew(text: string, now: number, clock: () => number): MaybePromise<VerifiedToken | Refusal> {
    const unverified = readUnverified(text, lastHeader)
    if (isRefusal(unverified)) return unverified
    const issuer = issuers.find(unverified.iss)
    return isPromiseLike(issuer)
      ? issuer.then((found) => verifyWith(found, unverified, clock(), clock))
      : verifyWith(issuer, unverified, now, clock)
  }

  function verifyWith(
    issuer: TrustedIssuer | Refusal | undefined,
    unverified: UnverifiedToken,
    now: number,
    clock: () => number,
  ): MaybePromise<VerifiedToken | Refusal> {
    if (isRefusal(issuer)) return issuer
    const { header, input, signature } = unverified
    const algorithm = checkHeader(header, issuer?.entry, policy)
    if (isRefusal(algorithm)) return algorithm
    if (issuer === undefined) return untrusted(unverified.iss, policy)
    const signer = findSigner(issuer.keys, { kid: header.kid, algorithm, input, signature }, isSignedBy)
    return isPromiseLike(signer)
      ? signer.then((key) => admit(unverified, issuer, key, clock()))
      : admit(unverified, issuer, signer, now)
  }

  /** What is left once the key that has signed is known. */
  function admit(
    unverified: UnverifiedToken,
    issuer: TrustedIssuer,
    key: IssuerKey | Refusal,
    now: number,
  ): VerifiedToken | Refusal {
    if (isRefusal(key)) return ofIssuer(key, issuer.entry)
    const verified = readVerified(unverified, issuer, key, policy)
    if (isRefusal(verified)) return ofIssuer(verified, issuer.entry)
    const denial = checkTokenTime(verified.token, now)
    if (denial !== undefined) return ofIssuer(denial, issuer.entry)
    cache.set(cacheKeyOf(verified.text), verified)
    lastHeader = unverified.header
    return verified
  }

  return {
    verify(text, now, clock) {
      if (text.length > maxTokenLength) return malformed('the token is longer than 16 KiB')
      const cached = cache.get(cacheKeyOf(text))
      // The issuer may have withdrawn the key since, or may no longer be trusted itself.
      const isCurrent =
        cached?.text === text && cached.issuer.keys.holds(cached.key) && cached.issuer.isCurrent()
      if (!isCurrent) return verifyAnew(text, now, clock)
      const denial = checkTokenTime(cached.token, now)
      if (denial === undefined) return cached
      cache.delete(cacheKeyOf(text))
      return ofIssuer(denial, cached.issuer.entry)
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

/** Cache key: the last 12 characters. A collision evicts one of two tokens; the full text is compared on a hit. */
function cacheKeyOf(text: string): string {
  return text.slice(-12)
}

/** The header of a token, read and not yet judged: what is allowed depends on the issuer. */
interface TokenHeader {
  /** The segment of the token. */
  readonly text: string
  readonly typ: string | undefined
  readonly alg: string
  readonly kid: string | undefined
}

/** A token of the right shape that nobody has vouched for yet. */
interface UnverifiedToken {
  readonly text: string
  readonly header: TokenHeader
  readonly payload: JsonObject
  /** Decides one thing only: with whose keys, of those that are trusted, the token is verified. */
  readonly iss: unknown
  /** What the signature is over. */
  readonly input: string
  /** Base64url, and exact. */
  readonly signature: string
}

/** `known` is a header that need not be read again. */
function readUnverified(text: string, known: TokenHeader | undefined): UnverifiedToken | Refusal {
  const segments = splitCompact(text, maxTokenLength)
  if (segments === undefined) return malformed('the token has not three segments')
  const header = known?.text === segments.header ? known : readTokenHeader(segments.header)
  if (isRefusal(header)) return header
  const payload = decodeObject(segments.payload)
  const { signature } = segments
  if (payload === undefined) return malformed('the payload is not one JSON object in base64url')
  if (!isExact(signature)) return malformed('the signature is not base64url')
  const { iss } = payload.members
  return { text, header, payload, iss, input: inputOf(text, segments), signature }
}

function readTokenHeader(text: string): TokenHeader | Refusal {
  const header = readHeader(text)
  if (header === undefined) return malformed('the header is no JOSE header in base64url, or has crit or b64')
  const { kid } = header.members
  if (!isKeyId(kid)) return malformed('kid is no string of at most 256 characters')
  const { typ, alg } = header
  // An empty kid names no key (RFC 7515 section 4.1.4).
  return { text: copyAscii(text), typ, alg, kid: kid === '' ? undefined : kid }
}

/** `typ` and `alg`, by the entry of the issuer that the token names, else by what some issuer's tokens may be. */
function checkHeader(
  { typ, alg }: TokenHeader,
  entry: CompiledIssuer | undefined,
  policy: TokenPolicy,
): Algorithm | Refusal {
  const { types, allowsNoType, algorithms } = entry?.token ?? policy.anyToken
  if (typ === undefined ? !allowsNoType : !types.has(typ)) {
    const allowed = allowsNoType ? [...types, 'no typ'] : types
    return headerRefusal('token_type_not_allowed', 'typ', allowed, typ, entry)
  }
  return algorithms.get(alg) ?? headerRefusal('algorithm_not_allowed', 'alg', algorithms.keys(), alg, entry)
}

function malformed(reason: string): Refusal {
  return new Refusal('token_malformed', { reason })
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
  return entry === undefined ? refusal : ofIssuer(refusal, entry)
}

/** The cause names the entry of the policy that decided. */
function ofIssuer({ code, cause, details, agent }: Refusal, { name }: CompiledIssuer): Refusal {
  return new Refusal(code, cause && { ...cause, issuer: describe(name) }, details, agent)
}

/** Compared as strings (RFC 9068 section 4). A last slash is the most frequent slip, so that it is named. */
function untrusted(found: unknown, policy: TokenPolicy): Refusal {
  const names = [...policy.issuers.keys()]
  const differsBySlash =
    typeof found === 'string' && names.some((name) => name === `${found}/` || `${name}/` === found)
  const reason = differsBySlash
    ? 'iss differs from an issuer of the policy by a last slash'
    : 'iss is no issuer of the policy'
  const expected = describe(names.join(' or '))
  return new Refusal('issuer_not_trusted', {
    reason,
    claim: 'iss',
    expected,
    found: describe(found),
    unverified: true,
  })
}

/** Everything that a token says, once its signature has verified. */
function readVerified(
  { text, payload, input }: UnverifiedToken,
  issuer: TrustedIssuer,
  key: IssuerKey,
  policy: TokenPolicy,
): VerifiedToken | Refusal {
  const { entry } = issuer
  const otherKind = findOtherKind(payload.members, entry)
  if (otherKind !== undefined) return withAgent(otherKind, payload, entry)
  const token = readIntentToken(payload, entry, input)
  if (isRefusal(token)) return withAgent(token, payload, entry)
  const accepted = token.audiences.filter((name) => entry.audiences.has(name))
  if (accepted.length === 0) {
    const expected = describe([...entry.audiences].join(' or '))
    const found = describe(token.audiences.join(' '))
    const cause = {
      reason: 'the token names no audience of this API',
      claim: token.names.audience,
      expected,
      found,
    }
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
    proofSigner: undefined,
    size: sizeOf(text, token, assertions),
    issuer,
    key,
  }
}

/** An estimate, by what each part was seen to take. */
function sizeOf(text: string, token: IntentToken, assertions: readonly Assertion[] | Refusal): number {
  let size = 2000 + 2 * text.length + 125 * token.valueCount + 40 * token.scopes.length
  if (isRefusal(assertions)) return size
  for (const { scopes, valueCount } of assertions) size += 3500 + 120 * scopes.size + 125 * valueCount
  return size
}

function isKeyId(kid: unknown): kid is string | undefined {
  return kid === undefined || (typeof kid === 'string' && kid.length <= 256)
}

/** The issuer has vouched for the claims, so that the operator may know whose token is wrong. */
function withAgent({ code, cause, details }: Refusal, payload: JsonObject, entry: CompiledIssuer): Refusal {
  return new Refusal(code, cause, details, agentOf(payload, entry))
}
