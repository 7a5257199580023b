import { Cache } from '../caches.js'
import { type Assertion, readAssertions } from '../delegation/assertion.js'
import type { Delegation } from '../delegation/delegation.js'
import type { DenialCode } from '../denials.js'
import { type Identity, toIdentity } from '../grant.js'
import type { Algorithm } from '../jose/algorithms.js'
import { isExact } from '../jose/base64url.js'
import { decodeObject, inputOf, readHeader, splitCompact } from '../jose/jws.js'
import { bare, withOwn } from '../jose/own.js'
import { sha256 } from '../jose/sha256.js'
import type { SignatureCheck } from '../jose/signature-check.js'
import type { JsonObject } from '../jose/strict-json.js'
import type { IssuerKeys } from '../keys/issuer-keys.js'
import type { KeysByIssuer } from '../keys/issuers.js'
import type { IssuerKey } from '../keys/key-set.js'
import { isPromise, type Maybe } from '../maybe.js'
import type { CompiledIssuer, CompiledPolicy } from '../policy/compile.js'
import type { BoundToken, ProofSigner } from '../proof/dpop-proof.js'
import { copyAscii } from '../text.js'
import { checkTokenTime, type IntentToken, readIntentToken } from './intent-token.js'

/** In characters, all of them ASCII. */
const maxTokenLength = 16 * 1024

/** A token that an issuer of the policy signed for this API, with all that is derived from it once. */
export interface VerifiedToken extends BoundToken {
  /** The compact JWS. */
  readonly text: string
  readonly token: IntentToken
  /** What a grant says of it. */
  readonly identity: Identity
  /** The audience, of the policy's, that it was accepted for. */
  readonly audience: string
  /** SHA-256 of the token, base64url: what a proof's `ath` has to be (RFC 9449 section 4.2). */
  readonly hash: string
  /** The delegation assertions, read but not yet verified; a code where they cannot be read. */
  readonly assertions: readonly Assertion[] | DenialCode
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
) => Maybe<VerifiedToken | DenialCode>

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

  function verifyAnew(text: string, now: number, clock: () => number): Maybe<VerifiedToken | DenialCode> {
    const signed = readSigned(text, lastHeader, policy)
    if (typeof signed === 'string') return signed
    const keys = issuerKeys.get(signed.issuer) as IssuerKeys
    const candidates = keys.find(signed.header.kid, signed.header.algorithm)
    const signer = isPromise(candidates)
      ? candidates.then((found) => findSigner(found, signed, isSignedBy))
      : findSigner(candidates, signed, isSignedBy)
    return isPromise(signer)
      ? signer.then((found) => admit(text, signed, keys, found, clock()))
      : admit(text, signed, keys, signer, now)
  }

  /** The rest, once it is known which key has signed; only what passes all of it is kept. */
  function admit(
    text: string,
    signed: Signed,
    keys: IssuerKeys,
    signer: IssuerKey | DenialCode,
    now: number,
  ): VerifiedToken | DenialCode {
    if (typeof signer === 'string') return signer
    const verified = readVerified(text, signed, { keys, key: signer }, policy)
    if (typeof verified === 'string') return verified
    const denial = checkTokenTime(verified.token, now, policy.token)
    if (denial !== undefined) return denial
    cache.set(endOf(verified.text), verified)
    lastHeader = signed.header
    return verified
  }

  return (text, now, clock) => {
    if (text.length > maxTokenLength) return 'token_malformed'
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
function readSigned(
  text: string,
  known: TokenHeader | undefined,
  policy: CompiledPolicy,
): Signed | DenialCode {
  const segments = splitCompact(text, maxTokenLength)
  if (segments === undefined) return 'token_malformed'
  const header = known?.text === segments.header ? known : readTokenHeader(segments.header, policy)
  const payload = decodeObject(segments.payload)
  const { signature } = segments
  if (payload === undefined || !isExact(signature)) return 'token_malformed'
  if (typeof header === 'string') return header
  // The one thing that an unverified token decides: whose keys, of those the policy names, it is checked with.
  const { iss: unverifiedIssuer } = withOwn(payload.members, 'iss' in bare)
  const issuer = typeof unverifiedIssuer === 'string' ? policy.issuers.get(unverifiedIssuer) : undefined
  if (issuer === undefined) return 'issuer_not_trusted'
  return { header, payload, input: inputOf(text, segments), signature, issuer }
}

function readTokenHeader(text: string, policy: CompiledPolicy): TokenHeader | DenialCode {
  const header = readHeader(text)
  if (header === undefined) return 'token_malformed'
  const { kid } = withOwn(header.members, 'kid' in bare)
  if (!isKeyId(kid)) return 'token_malformed'
  if (header.typ === undefined || !policy.token.types.has(header.typ)) return 'token_type_not_allowed'
  const algorithm = policy.token.algorithms.get(header.alg)
  return algorithm === undefined ? 'algorithm_not_allowed' : { text: copyAscii(text), kid, algorithm }
}

/** Everything that a token says, once its signature has verified. */
function readVerified(
  text: string,
  { payload, issuer }: Signed,
  signer: VerifiedToken['signer'],
  policy: CompiledPolicy,
): VerifiedToken | DenialCode {
  const token = readIntentToken(payload, issuer.url, issuer.profile)
  if (token === undefined) return 'claims_invalid'
  const audience = token.audiences.find((name) => policy.audiences.has(name))
  if (audience === undefined) return 'audience_mismatch'
  const assertions = readAssertions(
    token.intent.delegation,
    policy.delegation.maxDepth,
    policy.proof.algorithms,
  )
  return {
    text: copyAscii(text),
    token,
    identity: toIdentity(token),
    audience,
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
function sizeOf(text: string, token: IntentToken, assertions: readonly Assertion[] | DenialCode): number {
  let size = 2000 + 2 * text.length + 125 * token.valueCount + 40 * token.scopes.length
  if (typeof assertions === 'string') return size
  for (const { scopes } of assertions) size += 3500 + 120 * scopes.size
  return size
}

function isKeyId(kid: unknown): kid is string | undefined {
  return kid === undefined || (typeof kid === 'string' && kid.length > 0 && kid.length <= 256)
}

/** The first of the candidates whose signature it is; one after the other, since there is nearly always only one. */
function findSigner(
  candidates: readonly IssuerKey[] | DenialCode,
  signed: Signed,
  isSignedBy: SignatureCheck,
  first = 0,
): Maybe<IssuerKey | DenialCode> {
  if (typeof candidates === 'string') return candidates
  const { header, input, signature } = signed
  for (let at = first; at < candidates.length; at++) {
    const candidate = candidates[at] as IssuerKey
    const isSigner = isSignedBy(candidate.key, header.algorithm, input, signature)
    if (isPromise(isSigner)) {
      return isSigner.then((answer) =>
        answer ? candidate : findSigner(candidates, signed, isSignedBy, at + 1),
      )
    }
    if (isSigner) return candidate
  }
  return 'signature_invalid'
}
