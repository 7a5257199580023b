import { isPromiseLike, type MaybePromise } from '../lib/promise.js'
import { trimBlanks } from '../lib/strings.js'
import { type CheckObserver, isRefusal, Refusal } from '../refusal.js'
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

/**
 * Checks that the sender has the key that the token is bound to (RFC 9449 section 7.1). Times are in seconds.
 */
export type SenderConstraintCheck = (
  request: RequestFacts,
  scheme: Credentials['scheme'],
  verified: BoundToken,
  now: number,
  clock: () => number,
  observer?: CheckObserver,
) => MaybePromise<Refusal | undefined>

/** Checks a token that is bound to no key. Scheme DPoP is wrong for it. */
function checkUnbound(scheme: Credentials['scheme'], policy: ProofPolicy): Refusal | undefined {
  if (policy.proof.required)
    return new Refusal('proof_required', { reason: 'the token is bound to no key', claim: 'cnf' })
  if (scheme !== 'dpop') return undefined
  const reason = 'scheme DPoP with a token that is bound to no key'
  return new Refusal('proof_key_mismatch', { reason, claim: 'cnf' })
}

function countOf({ length }: readonly string[]): string {
  return length < 2 ? `${length || 'no'} DPoP field` : `${length} DPoP fields`
}

function expectedBinding(keyThumbprint: string | undefined, { proof }: ProofPolicy): string {
  if (keyThumbprint !== undefined) return 'scheme DPoP, since the token is bound to a key'
  return proof.required
    ? 'a token that is bound to a key'
    : 'scheme Bearer, since the token is bound to no key'
}

function foundBinding(keyThumbprint: string | undefined, scheme: Credentials['scheme']): string {
  const token = keyThumbprint === undefined ? 'a token that is bound to no key' : 'a bound token'
  return `${token}, ${scheme === 'field' ? 'in a field of its own' : `scheme ${scheme === 'dpop' ? 'DPoP' : 'Bearer'}`}`
}

export function createSenderConstraintCheck(
  policy: ProofPolicy,
  verifyProof: ProofVerifier,
  nonces: Nonces | undefined,
  consumeOnce: ConsumeOnce,
): SenderConstraintCheck {
  const longestLife = nonces === undefined ? policy.proof.maxAge : maxNonceLife
  const longestTtl = longestLife + 2 * policy.token.clockTolerance

  /** After an asynchronous signature check: the proof may have become stale. */
  function consumeLater(
    proof: VerifiedProof | Refusal,
    keyThumbprint: string,
    now: number,
    consumed: Consumed[] | undefined,
    observer: CheckObserver | undefined,
  ): MaybePromise<Refusal | undefined> {
    if (!isRefusal(proof) && !isFresh(proof, now, policy))
      return observer?.begin('iat') ?? stale(proof, now, policy)
    return consume(proof, keyThumbprint, now, consumed, observer)
  }

  /** Checks nonce and replay, the last checks of a proof. */
  function consume(
    proof: VerifiedProof | Refusal,
    keyThumbprint: string,
    now: number,
    consumed: Consumed[] | undefined,
    observer: CheckObserver | undefined,
  ): MaybePromise<Refusal | undefined> {
    if (isRefusal(proof)) return proof
    if (nonces !== undefined)
      observer?.begin(
        'nonce',
        'a nonce that this API has sent in the last 100 s',
        proof.nonce === undefined ? 'no nonce' : 'a nonce',
      )
    const { clockTolerance } = policy.token
    const end =
      nonces === undefined
        ? proof.iat + policy.proof.maxAge
        : nonces.acceptedUntil(proof.nonce, now, clockTolerance)
    if (end === undefined) {
      const reason = proof.nonce === undefined ? 'the proof has no nonce' : 'the nonce is not a current one'
      return new Refusal('proof_nonce_required', { reason, claim: 'nonce' })
    }
    // Clocks of a fleet differ: no process may forget a proof that another process still accepts.
    const ttl = end + clockTolerance - now
    observer?.skip('replay', 'a proof that was not used before', `jti ${proof.jti}`)
    return consumeOnce({ kind: 'proof', owner: keyThumbprint, id: proof.jti, ttl, longestTtl }, consumed)
  }

  return (request, scheme, verified, now, clock, observer) => {
    const { keyThumbprint } = verified.token
    observer?.begin('binding', expectedBinding(keyThumbprint, policy), foundBinding(keyThumbprint, scheme))
    if (keyThumbprint === undefined) return checkUnbound(scheme, policy)
    if (scheme !== 'dpop') {
      return new Refusal('proof_required', {
        reason: 'a token that is bound to a key came without scheme DPoP',
        claim: 'cnf',
      })
    }
    observer?.begin('field', 'one DPoP field', countOf(request.dpop))
    const [field, another] = request.dpop
    if (field === undefined) return new Refusal('proof_missing')
    if (another !== undefined) {
      return new Refusal('proof_malformed', { reason: 'the request has more than one DPoP field' })
    }

    // Fields of one name may be joined on the way (RFC 9110 section 5.3); no proof holds a comma.
    if (request.dpop[0]?.includes(','))
      return new Refusal('proof_malformed', { reason: 'the DPoP field has more than one proof' })

    const target = { bound: verified, request, now }
    const proof = verifyProof(trimBlanks(field), target, observer)
    return isPromiseLike(proof)
      ? proof.then((answer) => consumeLater(answer, keyThumbprint, clock(), request.consumed, observer))
      : consume(proof, keyThumbprint, now, request.consumed, observer)
  }
}
