import { LRUCache } from 'lru-cache'
import { type Assertion, readAssertions } from '../delegation/assertion.js'
import type { Delegation } from '../delegation/delegation.js'
import type { DenialCode } from '../denials.js'
import type { Algorithm } from '../jose/algorithms.js'
import { isSignedBy, readCompact, type UnverifiedJws } from '../jose/jws.js'
import { own } from '../jose/own.js'
import { sha256 } from '../jose/sha256.js'
import type { IssuerKeys } from '../keys/issuer-keys.js'
import type { KeysByIssuer } from '../keys/issuers.js'
import type { IssuerKey } from '../keys/key-set.js'
import type { CompiledPolicy } from '../policy/compile.js'
import { revocationIdsOf } from '../stores/revocation-ids.js'
import { checkTokenTime, type IntentToken, readIntentToken } from './intent-token.js'

/** In characters, all of them ASCII. */
const maxTokenLength = 16 * 1024

/** Bytes of memory that verified tokens may take, by an estimate that the largest do not exceed. */
const maxCachedSize = 128 * 1024 * 1024

/** A token that an issuer of the policy signed for this API, with all that is derived from it once. */
export interface VerifiedToken {
  readonly token: IntentToken
  /** The audience, of the policy's, that it was accepted for. */
  readonly audience: string
  /** SHA-256 of the token, base64url: what a proof's `ath` has to be (RFC 9449 section 4.2). */
  readonly hash: string
  /** The delegation assertions, read but not yet verified; a code where they cannot be read. */
  readonly assertions: readonly Assertion[] | DenialCode
  /** What a revocation of this token could be listed under. */
  readonly revocationIds: string[]
  /** The delegation, once it was verified for this token: nothing in that can change but the time. */
  delegation: Delegation | undefined
  /** Bytes of memory that it takes, about. */
  readonly size: number
  readonly signer: { readonly keys: IssuerKeys; readonly key: IssuerKey }
}

/** Verifies an access token up to its lifetime, or names what is wrong. The clock is in seconds. */
export type TokenVerifier = (text: string, clock: () => number) => Promise<VerifiedToken | DenialCode>

export function createTokenVerifier(policy: CompiledPolicy, issuerKeys: KeysByIssuer): TokenVerifier {
  // Keyed by a digest of the exact bytes, so that no other text can find an entry, and no token is kept. Only
  // what has passed every check gets in: junk pushes nothing out.
  const cache = new LRUCache<string, VerifiedToken>({
    maxSize: maxCachedSize,
    sizeCalculation: ({ size }) => size,
  })

  return async (text, clock) => {
    if (text.length > maxTokenLength) return 'token_malformed'
    const hash = sha256(text)
    const cached = cache.get(hash)
    // The issuer may have withdrawn the key since.
    if (cached?.signer.keys.holds(cached.signer.key)) {
      const denial = checkTokenTime(cached.token, clock(), policy.token)
      if (denial === undefined) return cached
      cache.delete(hash)
      return denial
    }
    cache.delete(hash)
    const verified = await verifyToken(text, hash, policy, issuerKeys)
    if (typeof verified === 'string') return verified
    const denial = checkTokenTime(verified.token, clock(), policy.token)
    if (denial !== undefined) return denial
    cache.set(hash, verified)
    return verified
  }
}

async function verifyToken(
  text: string,
  hash: string,
  policy: CompiledPolicy,
  issuerKeys: KeysByIssuer,
): Promise<VerifiedToken | DenialCode> {
  const unverified = readCompact(text, maxTokenLength)
  if (unverified === undefined) return 'token_malformed'
  const kid = own(unverified.header.members, 'kid')
  if (!isKeyId(kid)) return 'token_malformed'

  const { typ } = unverified.header
  if (typ === undefined || !policy.token.types.has(typ)) return 'token_type_not_allowed'
  const algorithm = policy.token.algorithms.get(unverified.header.alg)
  if (algorithm === undefined) return 'algorithm_not_allowed'
  // The one thing that an unverified token decides: whose keys, of those the policy names, it is checked with.
  const unverifiedIssuer = own(unverified.payload, 'iss')
  const issuer = typeof unverifiedIssuer === 'string' ? policy.issuers.get(unverifiedIssuer) : undefined
  if (issuer === undefined) return 'issuer_not_trusted'

  const keys = issuerKeys.get(issuer) as IssuerKeys
  const candidates = await keys.find(kid, algorithm)
  if (typeof candidates === 'string') return candidates
  const key = findSigner(candidates, algorithm, unverified)
  if (key === undefined) return 'signature_invalid'

  const token = readIntentToken(unverified.payload, issuer.url, issuer.profile)
  if (token === undefined) return 'claims_invalid'
  const audience = token.audiences.find((name) => policy.audiences.has(name))
  if (audience === undefined) return 'audience_mismatch'
  const assertions = readAssertions(
    token.intent.delegation,
    policy.delegation.maxDepth,
    policy.proof.algorithms,
  )
  return {
    token,
    audience,
    hash,
    assertions,
    revocationIds: revocationIdsOf(token, typeof assertions === 'string' ? [] : assertions),
    delegation: undefined,
    size: 2000 + 2 * text.length + 72 * countValues(token.claims),
    signer: { keys, key },
  }
}

/** A token of many small values takes far more memory than its text is long. */
function countValues(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1
  return Object.values(value).reduce<number>((count, member) => count + countValues(member), 1)
}

function isKeyId(kid: unknown): kid is string | undefined {
  return kid === undefined || (typeof kid === 'string' && kid.length > 0 && kid.length <= 256)
}

function findSigner(
  candidates: readonly IssuerKey[],
  algorithm: Algorithm,
  { input, signature }: UnverifiedJws,
): IssuerKey | undefined {
  return candidates.find(({ key }) => isSignedBy(key, algorithm, input, signature))
}
