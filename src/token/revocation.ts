import { isPromiseLike, type MaybePromise, STORE_TIMEOUT_SECONDS, withDeadline } from '../lib/promise.js'
import { type CheckObserver, describe, describeError, Refusal } from '../refusal.js'
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
      if (!isPromiseLike(isRevoked)) return toRefusal(isRevoked, ids, () => findRevoked(ids, revocations))
      const answer = withDeadline(isRevoked, STORE_TIMEOUT_SECONDS)
      // The store may be across the network: only `explain` asks again which id it is.
      const refusal =
        observer === undefined
          ? answer.then((isListed) => toRefusal(isListed, ids))
          : answer.then(async (isListed) => {
              const revokedId = await findRevokedLater(ids, revocations)
              return toRefusal(isListed, ids, () => revokedId)
            })
      return refusal.then(undefined, unavailable)
    } catch (error) {
      return unavailable(error)
    }
  }
}

function toRefusal(
  isRevoked: unknown,
  ids: readonly string[],
  find: () => string | undefined = () => undefined,
): Refusal | undefined {
  if (typeof isRevoked !== 'boolean')
    return unavailable(new TypeError('isRevoked must return a boolean, or a promise of one'))
  if (!isRevoked) return undefined
  const revokedId = find()
  const reason =
    revokedId === undefined
      ? 'an id of the token or of its delegation is on the revocation list'
      : `${kindOf(revokedId)} is on the revocation list`
  return new Refusal('token_revoked', { reason, found: describe(revokedId ?? ids.join(', ')) })
}

function kindOf(id: string): string {
  if (id.startsWith('token:')) return 'the token, or an assertion of its delegation,'
  if (id.startsWith('key:')) return 'the key of the token, or of a delegator,'
  return id.startsWith('agent:')
    ? 'an agent of the token or of its delegation'
    : 'the registration of the agent'
}

/** Which id is on the list of a store that answers at once. A failure does not change the denial. */
function findRevoked(ids: readonly string[], revocations: Revocations): string | undefined {
  try {
    return ids.find((id) => revocations.isRevoked([id]) === true)
  } catch {
    return undefined
  }
}

async function findRevokedLater(
  ids: readonly string[],
  revocations: Revocations,
): Promise<string | undefined> {
  try {
    const answers = Promise.all(ids.map((id) => revocations.isRevoked([id])))
    return ids[(await withDeadline(answers, STORE_TIMEOUT_SECONDS)).indexOf(true)]
  } catch {
    return undefined
  }
}

function unavailable(error: unknown): Refusal {
  return new Refusal('revocations_unavailable', { reason: describeError(error) })
}
