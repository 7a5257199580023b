import { isPromise, patience, withDeadline } from './deadline.js'
import type { DenialCode } from './denials.js'
import type { Revocations } from './options.js'

/** Whether any of these ids was revoked; whatever cannot be told refuses the request. */
export type RevocationCheck = (ids: readonly string[]) => Promise<DenialCode | undefined>

export function createRevocationCheck(revocations: Revocations): RevocationCheck {
  return async (ids) => {
    let isRevoked: unknown
    try {
      const answer: unknown = revocations.isRevoked([...ids])
      isRevoked = isPromise(answer) ? await withDeadline(answer, patience) : answer
    } catch {
      return 'revocations_unavailable'
    }
    if (typeof isRevoked !== 'boolean') return 'revocations_unavailable'
    return isRevoked ? 'token_revoked' : undefined
  }
}
