import type { Grant } from '../decision.js'
import type { TokenClaims } from './claims.js'

/** The part of a grant that depends on the token alone. Made once for each token. */
export type Identity = Omit<Grant, 'delegation' | 'route' | 'params'>

export function toIdentity(token: TokenClaims): Identity {
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
