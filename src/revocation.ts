import type { DenialCode } from './denials.js'
import { isPromise, type Maybe, patience, withDeadline } from './maybe.js'
import type { Revocations } from './options.js'
import { revocationIdsOf } from './stores/revocation-ids.js'
import type { VerifiedToken } from './token/verify-token.js'

/** Whether a token, or the delegation behind it, was revoked; whatever cannot be told refuses the request. */
export type RevocationCheck = (verified: VerifiedToken) => Maybe<DenialCode | undefined>

/** Without a list, nobody has revoked anything. */
export function createRevocationCheck(revocations: Revocations | undefined): RevocationCheck {
  if (revocations === undefined) return () => undefined
  return (verified) => {
    try {
      verified.revocationIds ??= revocationIdsOf(verified)
      const isRevoked: unknown = revocations.isRevoked([...verified.revocationIds])
      if (!isPromise(isRevoked)) return toCode(isRevoked)
      return withDeadline(isRevoked, patience).then(toCode, () => 'revocations_unavailable')
    } catch {
      return 'revocations_unavailable'
    }
  }
}

/** An answer that is neither is no answer. */
function toCode(isRevoked: unknown): DenialCode | undefined {
  if (typeof isRevoked !== 'boolean') return 'revocations_unavailable'
  return isRevoked ? 'token_revoked' : undefined
}
