import { isPromiseLike, type MaybePromise, STORE_TIMEOUT_SECONDS, withDeadline } from '../lib/promise.js'
import { describeError, Refusal } from '../refusal.js'
import type { Revocations } from '../stores/store.js'
import { agentIdsOf, revocationIdsOf } from './revocation-ids.js'
import type { VerifiedToken } from './verify-token.js'

/** Whether a token, or the delegation behind it, was revoked; whatever cannot be told refuses the request. */
export type RevocationCheck = (
  verified: VerifiedToken,
  allowedChain: readonly string[] | undefined,
) => MaybePromise<Refusal | undefined>

/** Without a list, nobody has revoked anything. */
export function createRevocationCheck(revocations: Revocations | undefined): RevocationCheck {
  if (revocations === undefined) return () => undefined
  return (verified, allowedChain) => {
    try {
      verified.revocationIds ??= revocationIdsOf(verified)
      const isRevoked: unknown = revocations.isRevoked([
        ...verified.revocationIds,
        ...(allowedChain === undefined ? [] : agentIdsOf(verified.token.issuer, allowedChain)),
      ])
      if (!isPromiseLike(isRevoked)) return refusalOfRevocation(isRevoked)
      return withDeadline(isRevoked, STORE_TIMEOUT_SECONDS).then(refusalOfRevocation, unavailable)
    } catch (error) {
      return unavailable(error)
    }
  }
}

/** An answer that is neither is no answer. */
function refusalOfRevocation(isRevoked: unknown): Refusal | undefined {
  if (typeof isRevoked !== 'boolean') return unavailable(new TypeError('isRevoked answered with no boolean'))
  return isRevoked ? new Refusal('token_revoked') : undefined
}

function unavailable(error: unknown): Refusal {
  return new Refusal('revocations_unavailable', { reason: describeError(error) })
}
