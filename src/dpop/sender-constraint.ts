import { isPromiseLike, type MaybePromise } from '../lib/promise.js'
import { trimBlanks } from '../lib/strings.js'
import { isRefusal, Refusal } from '../refusal.js'
import type { Credentials } from '../request/credentials.js'
import type { RequestFacts } from '../request/request.js'
import type { Consumed, ConsumeOnce } from '../stores/replay.js'
import { maxNonceLife, type Nonces } from './nonce.js'
import {
  type BoundToken,
  isFresh,
  type ProofPolicy,
  type ProofVerifier,
  stale,
  type VerifiedProof,
} from './proof.js'

/** Whether whoever sends a token holds the key that it is bound to (RFC 9449 section 7.1). The clock is in seconds. */
export type SenderConstraintCheck = (
  request: RequestFacts,
  scheme: Credentials['scheme'],
  verified: BoundToken,
  now: number,
  clock: () => number,
) => MaybePromise<Refusal | undefined>

/** Whether a token that is bound to no key is accepted. Scheme DPoP says that it is bound. */
function checkUnbound(scheme: Credentials['scheme'], policy: ProofPolicy): Refusal | undefined {
  if (policy.proof.required) return new Refusal('proof_required', { reason: 'the token is bound to no key' })
  if (scheme !== 'dpop') return undefined
  return new Refusal('proof_key_mismatch', { reason: 'scheme DPoP with a token that is bound to no key' })
}

export function createSenderConstraintCheck(
  policy: ProofPolicy,
  verifyProof: ProofVerifier,
  nonces: Nonces | undefined,
  consumeOnce: ConsumeOnce,
): SenderConstraintCheck {
  const longestLife = nonces === undefined ? policy.proof.maxAge : maxNonceLife
  const longestTtl = longestLife + 2 * policy.token.clockTolerance

  /** The same, after the signature was waited for: time has passed. */
  function useUpLater(
    proof: VerifiedProof | Refusal,
    keyThumbprint: string,
    now: number,
    consumed: Consumed[] | undefined,
  ): MaybePromise<Refusal | undefined> {
    if (!isRefusal(proof) && !isFresh(proof, now, policy)) return stale(proof, now, policy)
    return useUp(proof, keyThumbprint, now, consumed)
  }

  /** What is left once the proof is right for its request. */
  function useUp(
    proof: VerifiedProof | Refusal,
    keyThumbprint: string,
    now: number,
    consumed: Consumed[] | undefined,
  ): MaybePromise<Refusal | undefined> {
    if (isRefusal(proof)) return proof
    const { clockTolerance } = policy.token
    const end =
      nonces === undefined
        ? proof.iat + policy.proof.maxAge
        : nonces.acceptedUntil(proof.nonce, now, clockTolerance)
    if (end === undefined) {
      const reason = proof.nonce === undefined ? 'the proof has no nonce' : 'the nonce is not a current one'
      return new Refusal('proof_nonce_required', { reason, claim: 'nonce' })
    }
    // Processes with clocks a little apart share one store: none may forget what another still accepts.
    const ttl = end + clockTolerance - now
    return consumeOnce({ kind: 'proof', owner: keyThumbprint, id: proof.jti, ttl, longestTtl }, consumed)
  }

  return (request, scheme, verified, now, clock) => {
    const { keyThumbprint } = verified.token
    if (keyThumbprint === undefined) return checkUnbound(scheme, policy)
    if (scheme !== 'dpop') {
      return new Refusal('proof_required', {
        reason: 'a token that is bound to a key came without scheme DPoP',
      })
    }
    if (request.dpop.length === 0) return new Refusal('proof_missing')
    if (request.dpop.length > 1) {
      return new Refusal('proof_malformed', { reason: 'the request has more than one DPoP field' })
    }

    const proof = verifyProof(trimBlanks(request.dpop[0] as string), { bound: verified, request, now })
    return isPromiseLike(proof)
      ? proof.then((answer) => useUpLater(answer, keyThumbprint, clock(), request.consumed))
      : useUp(proof, keyThumbprint, now, request.consumed)
  }
}
