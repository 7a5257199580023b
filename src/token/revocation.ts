import { isPromiseLike, type MaybePromise, STORE_TIMEOUT_SECONDS, withDeadline } from '../lib/promise.js'
import { type CheckObserver, describeError, Refusal } from '../refusal.js'
import type { Revocations } from '../stores/store.js'
import { agentRevocationIdsOf, revocationIdsOf } from './revocation-ids.js'
import type { VerifiedToken } from './verify-token.js'

/** Refuses a token that was revoked, or whose delegation was, and a token that cannot be checked. */
export type RevocationCheck = (
  verified: VerifiedToken,
  allowedChain: readonly string[] | undefined,
  observer?: CheckObserver,
) => MaybePromise<Refusal | undefined>

/** Without `revocations`, no token is revoked. */
export function createRevocationCheck(revocations: Revocations | undefined): RevocationCheck {
  if (revocations === undefined) {
    return (verified, _allowedChain, observer) => {
      observer?.skip('revocation', 'no id of the token is revoked', revocationIdsOf(verified).join(', '))
      return undefined
    }
  }
  return (verified, allowedChain, observer) => {
    try {
      verified.revocationIds ??= revocationIdsOf(verified)
      const ids = [
        ...verified.revocationIds,
        ...(allowedChain === undefined ? [] : agentRevocationIdsOf(verified.token.issuer, allowedChain)),
      ]
      observer?.begin('revocation', 'no id of the token is revoked', ids.join(', '))
      const isRevoked: unknown = revocations.isRevoked(ids)
      if (!isPromiseLike(isRevoked)) return toRefusal(isRevoked)
      return withDeadline(isRevoked, STORE_TIMEOUT_SECONDS).then(toRefusal, unavailable)
    } catch (error) {
      return unavailable(error)
    }
  }
}

function toRefusal(isRevoked: unknown): Refusal | undefined {
  if (typeof isRevoked !== 'boolean')
    return unavailable(new TypeError('isRevoked must return a boolean, or a promise of one'))
  return isRevoked ? new Refusal('token_revoked') : undefined
}

function unavailable(error: unknown): Refusal {
  return new Refusal('revocations_unavailable', { reason: describeError(error) })
}
