import type { DenialCode } from '../denials.js'
import { isPromise, type Maybe } from '../maybe.js'
import type { CompiledPolicy } from '../policy/compile.js'
import type { Consumed, UseOnce } from '../replay.js'
import type { RequestFacts } from '../request.js'
import { trimBlanks } from '../text.js'
import type { VerifiedToken } from '../token/verify-token.js'
import { isFresh, type ProofVerifier, type VerifiedProof } from './dpop-proof.js'
import type { Nonces } from './nonce.js'

/** Whether whoever sends a token holds the key that it is bound to (RFC 9449 section 7.1). The clock is in seconds. */
export type PossessionCheck = (
  request: RequestFacts,
  scheme: 'dpop' | 'bearer',
  verified: VerifiedToken,
  now: number,
  clock: () => number,
) => Maybe<DenialCode | undefined>

export function createPossessionCheck(
  policy: CompiledPolicy,
  verifyProof: ProofVerifier,
  nonces: Nonces | undefined,
  useOnce: UseOnce,
): PossessionCheck {
  /** The same, after the signature was waited for: time has passed. */
  function useUpLater(
    proof: VerifiedProof | DenialCode,
    keyThumbprint: string,
    now: number,
    consumed: Consumed[] | undefined,
  ): Maybe<DenialCode | undefined> {
    if (typeof proof !== 'string' && !isFresh(proof, now, policy)) return 'proof_stale'
    return useUp(proof, keyThumbprint, now, consumed)
  }

  /** What is left once the proof is right for its request. */
  function useUp(
    proof: VerifiedProof | DenialCode,
    keyThumbprint: string,
    now: number,
    consumed: Consumed[] | undefined,
  ): Maybe<DenialCode | undefined> {
    if (typeof proof === 'string') return proof
    if (nonces?.isCurrent(proof.nonce, now) === false) return 'proof_nonce_required'
    // Processes with clocks a little apart share one store: none may forget what another still accepts.
    const { clockTolerance } = policy.token
    const ttl = proof.iat + policy.proof.maxAge + clockTolerance - now
    const longestTtl = policy.proof.maxAge + 2 * clockTolerance
    return useOnce({ kind: 'proof', owner: keyThumbprint, id: proof.jti, ttl, longestTtl }, consumed)
  }

  return (request, scheme, verified, now, clock) => {
    const { keyThumbprint } = verified.token
    if (keyThumbprint === undefined) {
      if (policy.proof.required) return 'proof_required'
      // Scheme DPoP says that the token is bound; to no key that there is, then.
      return scheme === 'bearer' ? undefined : 'proof_key_mismatch'
    }
    if (scheme === 'bearer') return 'proof_required'
    if (request.dpop.length === 0) return 'proof_missing'
    if (request.dpop.length > 1) return 'proof_malformed'

    const proof = verifyProof(trimBlanks(request.dpop[0] as string), { bound: verified, request, now })
    return isPromise(proof)
      ? proof.then((answer) => useUpLater(answer, keyThumbprint, clock(), request.consumed))
      : useUp(proof, keyThumbprint, now, request.consumed)
  }
}
