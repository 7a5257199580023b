import type { Grant } from './decision.js'
import type { Delegation } from './delegation/delegation.js'
import type { Access } from './policy/match-request.js'
import type { VerifiedToken } from './token/verify-token.js'

/** What a handler is told of its caller. */
export function toGrant({ token }: VerifiedToken, delegation: Delegation, { route, params }: Access): Grant {
  return Object.freeze({
    issuer: token.issuer,
    agent: Object.freeze({
      id: token.sub,
      checksum: token.checksum,
      registrationId: token.registrationId,
      keyThumbprint: token.keyThumbprint,
    }),
    scopes: token.scopes,
    intent: Object.freeze({
      workflowId: token.intent.workflowId,
      step: token.intent.step,
      initiatedBy: token.intent.initiatedBy,
      executedBy: token.intent.executedBy,
      hash: token.intent.hash,
    }),
    delegation: delegation.hops,
    token: Object.freeze({ id: token.jti, issuedAt: token.iat, expiresAt: token.exp }),
    claims: token.claims,
    route,
    params: Object.freeze(params),
  })
}
