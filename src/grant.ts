import type { Grant } from './decision.js'
import type { Delegation } from './delegation/delegation.js'
import type { Access } from './routing/match.js'
import type { IntentToken } from './token/claims.js'

/** What a grant says whatever the request: made once for a token. */
export type Identity = Omit<Grant, 'delegation' | 'route' | 'params'>

export function toIdentity(token: IntentToken): Identity {
  return {
    issuer: token.issuer,
    subject: token.subject,
    actors: token.actors,
    agent: Object.freeze({
      id: token.agent,
      checksum: token.checksum,
      registrationId: token.registrationId,
      keyThumbprint: token.keyThumbprint,
    }),
    scopes: token.scopes,
    intent: Object.freeze({
      workflowId: token.intent.workflowId,
      step: token.intent.step,
      initiatedBy: token.intent.initiatedBy,
      initiatorType: token.intent.initiatorType,
      executedBy: token.intent.executedBy,
      hash: token.intent.hash,
      runId: token.intent.runId,
    }),
    token: Object.freeze({ id: token.jti, issuedAt: token.iat, expiresAt: token.exp }),
    claims: token.claims,
  }
}

/** What a handler is told of its caller. */
export function toGrant(identity: Identity, delegation: Delegation, { route, params }: Access): Grant {
  return Object.freeze({
    issuer: identity.issuer,
    subject: identity.subject,
    actors: identity.actors,
    agent: identity.agent,
    scopes: identity.scopes,
    intent: identity.intent,
    delegation: delegation.hops,
    token: identity.token,
    claims: identity.claims,
    route,
    params,
  })
}
