import type { DenialCode } from './denials.js'
import { isPromise, type Maybe, patience, withDeadline } from './maybe.js'
import type { Revocations } from './options.js'

/** Whether any of these ids was revoked; whatever cannot be told refuses the request. */
export type RevocationCheck = (ids: readonly string[]) => Maybe<DenialCode | undefined>

export function createRevocationCheck(revocations: Revocations): RevocationCheck {
  return (ids) => {
    try {
      const isRevoked: unknown = revocations.isRevoked([...ids])
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
