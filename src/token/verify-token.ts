import { type Assertion, readAssertions } from '../delegation/assertion.js'
import type { Delegation } from '../delegation/delegation.js'
import type { BoundToken, ProofSigner } from '../dpop/proof.js'
import { type Identity, toIdentity } from '../grant.js'
import type { Algorithm } from '../jws/algorithms.js'
import { isExact } from '../jws/base64url.js'
import { decodeObject, inputOf, readHeader, splitCompact } from '../jws/jws.js'
import { sha256 } from '../jws/sha256.js'
import type { SignatureCheck } from '../jws/signature-check.js'
import type { JsonObject } from '../jws/strict-json.js'
import { findSigner } from '../keys/find-signer.js'
import type { IssuerKey } from '../keys/issuer-key.js'
import type { IssuerKeys } from '../keys/issuer-keys.js'
import type { KeysByIssuer } from '../keys/issuers.js'
import { Cache } from '../lib/cache.js'
import { bare, withOwn } from '../lib/own.js'
import { isPromiseLike, type MaybePromise } from '../lib/promise.js'
import { copyAscii } from '../lib/strings.js'
import type { CompiledIssuer, CompiledPolicy } from '../policy/compile.js'
import { describe, isRefusal, Refusal } from '../refusal.js'
import type { DenialCode } from '../response/denials.js'
import { checkTokenTime, type IntentToken, readIntentToken } from './claims.js'

/** In characters, all of them ASCII. */
const maxTokenLength = 16 * 1024

/** A token that an issuer of the policy signed for this API, with all that is derived from it once. */
export interface VerifiedToken extends BoundToken {
  /** The compact JWS. */
  readonly text: string
  readonly token: IntentToken
  /** What a grant says of it. */
  readonly identity: Identity
  /** The audiences of the policy that it names, one at least. */
  readonly audiences: readonly string[]
  /** SHA-256 of the token, base64url: what a proof's `ath` has to be (RFC 9449 section 4.2). */
  readonly hash: string
  /** The delegation assertions, read but not yet verified; a refusal where they cannot be read. */
  readonly assertions: readonly Assertion[] | Refusal
  /** What a revocation of this token could be listed under, once that was asked for. */
  revocationIds: readonly string[] | undefined
  /** The delegation, once it was verified for this token: nothing in that can change but the time. */
  delegation: Delegation | undefined
  proofSigner: ProofSigner | undefined
  /** Bytes of memory that it takes, about. */
  readonly size: number
  readonly signer: { readonly keys: IssuerKeys; readonly key: IssuerKey }
}

/** Verifies an access token up to its lifetime, or names what is wrong. The clock, in seconds, is read after waiting. */
export type TokenVerifier = (
  text: string,
  now: number,
  clock: () => number,
) => MaybePromise<VerifiedToken | Refusal>

/** Keeps verified tokens within `cacheSize` bytes, by an estimate that none exceeds. */
export function createTokenVerifier(
  policy: CompiledPolicy,
  issuerKeys: KeysByIssuer,
  cacheSize: number,
  isSignedBy: SignatureCheck,
): TokenVerifier {
  // Found by the end of the signature, which costs less to hash than a whole token, and then compared byte by
  // byte. Only what has passed every check gets in: junk pushes nothing out.
  const cache = new Cache<VerifiedToken>(cacheSize, ({ size }) => size)
  // That of the last token that verified: nearly all that an issuer signs have the same one.
  let lastHeader: TokenHeader | undefined

  function verifyAnew(text: string, now: number, clock: () => number): MaybePromise<VerifiedToken | Refusal> {
    const signed = readSigned(text, lastHeader, policy)
    if (isRefusal(signed)) return signed
    const keys = issuerKeys.get(signed.issuer) as IssuerKeys
    const { kid, algorithm } = signed.header
    const { input, signature } = signed
    const signer = findSigner(keys, { kid, algorithm, input, signature }, isSignedBy)
    return isPromiseLike(signer)
      ? signer.then((found) => admit(text, signed, keys, found, clock()))
      : admit(text, signed, keys, signer, now)
  }

  /** The rest, once it is known which key has signed; only what passes all of it is kept. */
  function admit(
    text: string,
    signed: Signed,
    keys: IssuerKeys,
    signer: IssuerKey | Refusal,
    now: number,
  ): VerifiedToken | Refusal {
    if (isRefusal(signer)) return signer
    const verified = readVerified(text, signed, { keys, key: signer }, policy)
    if (isRefusal(verified)) return verified
    const denial = checkTokenTime(verified.token, now, policy.token)
    if (denial !== undefined) return denial
    cache.set(endOf(verified.text), verified)
    lastHeader = signed.header
    return verified
  }

  return (text, now, clock) => {
    if (text.length > maxTokenLength) return malformed('the token is longer than 16 KiB')
    const cached = cache.get(endOf(text))
    // The issuer may have withdrawn the key since.
    if (cached?.text !== text || !cached.signer.keys.holds(cached.signer.key)) {
      return verifyAnew(text, now, clock)
    }
    const denial = checkTokenTime(cached.token, now, policy.token)
    if (denial === undefined) return cached
    cache.delete(endOf(text))
    return denial
  }
}

/**
 * Out of a signature that the issuer made: no two tokens share so many characters, unless by an accident that costs the
 * cache one of them. A slice that is longer is kept as a part of the whole, and takes far longer to compare.
 */
function endOf(text: string): string {
  return text.slice(-12)
}

/** What the header of a token says of how it was signed. */
interface TokenHeader {
  /** The segment of the token. */
  readonly text: string
  readonly kid: string | undefined
  readonly algorithm: Algorithm
}

/** A token in which everything but its claims is in order; nobody has vouched for it yet. */
interface Signed {
  readonly header: TokenHeader
  readonly payload: JsonObject
  /** What the signature is over. */
  readonly input: string
  /** Base64url, and exact. */
  readonly signature: string
  readonly issuer: CompiledIssuer
}

/** `known` is a header that need not be read again. */
function readSigned(text: string, known: TokenHeader | undefined, policy: CompiledPolicy): Signed | Refusal {
  const segments = splitCompact(text, maxTokenLength)
  if (segments === undefined) return malformed('the token has not three segments')
  const header = known?.text === segments.header ? known : readTokenHeader(segments.header, policy)
  const payload = decodeObject(segments.payload)
  const { signature } = segments
  if (isRefusal(header) && header.code === 'token_malformed') return header
  if (payload === undefined) return malformed('the payload is not one JSON object in base64url')
  if (!isExact(signature)) return malformed('the signature is not base64url')
  if (isRefusal(header)) return header
  // The one thing that an unverified token decides: whose keys, of those the policy names, it is checked with.
  const { iss: unverifiedIssuer } = withOwn(payload.members, 'iss' in bare)
  const issuer = typeof unverifiedIssuer === 'string' ? policy.issuers.get(unverifiedIssuer) : undefined
  if (issuer === undefined) return untrusted(unverifiedIssuer, policy)
  return { header, payload, input: inputOf(text, segments), signature, issuer }
}

function readTokenHeader(text: string, policy: CompiledPolicy): TokenHeader | Refusal {
  const header = readHeader(text)
  if (header === undefined) return malformed('the header is no JOSE header in base64url, or has crit or b64')
  const { kid } = withOwn(header.members, 'kid' in bare)
  if (!isKeyId(kid)) return malformed('kid is no string of at most 256 characters')
  const { types, algorithms } = policy.token
  if (header.typ === undefined || !types.has(header.typ))
    return headerRefusal('token_type_not_allowed', 'typ', types, header.typ)
  const algorithm = algorithms.get(header.alg)
  if (algorithm === undefined)
    return headerRefusal('algorithm_not_allowed', 'alg', algorithms.keys(), header.alg)
  // An empty kid names no key (RFC 7515 section 4.1.4).
  return { text: copyAscii(text), kid: kid === '' ? undefined : kid, algorithm }
}

function malformed(reason: string): Refusal {
  return new Refusal('token_malformed', { reason })
}

function headerRefusal(code: DenialCode, claim: string, allowed: Iterable<string>, found: unknown): Refusal {
  const expected = describe([...allowed].join(' or '))
  const reason = `${claim} of the token is not one that the policy allows`
  return new Refusal(code, { reason, claim, expected, found: describe(found), unverified: true })
}

/** Compared as strings (RFC 9068 section 4). A last slash is the most frequent slip, so that it is named. */
function untrusted(found: unknown, policy: CompiledPolicy): Refusal {
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
  text: string,
  { payload, issuer }: Signed,
  signer: VerifiedToken['signer'],
  policy: CompiledPolicy,
): VerifiedToken | Refusal {
  const token = readIntentToken(payload, issuer.url, issuer.profile)
  if (isRefusal(token)) return withAgent(token, payload)
  const accepted = token.audiences.filter((name) => policy.audiences.has(name))
  if (accepted.length === 0) {
    const expected = describe([...policy.audiences].join(' or '))
    const found = describe(token.audiences.join(' '))
    const cause = { reason: 'aud names no audience of the policy', claim: 'aud', expected, found }
    return new Refusal('audience_mismatch', cause, undefined, token.sub)
  }
  const assertions = readAssertions(
    token.intent.delegation,
    policy.delegation.maxDepth,
    policy.proof.algorithms,
  )
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
    signer,
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
function withAgent({ code, cause, details }: Refusal, payload: JsonObject): Refusal {
  const { sub } = withOwn(payload.members, 'sub' in bare)
  return new Refusal(code, cause, details, typeof sub === 'string' ? sub : undefined)
}
