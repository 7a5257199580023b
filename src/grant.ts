import type { Grant } from './decision.js'
import type { Delegation } from './delegation/delegation.js'
import type { Access } from './routing/match.js'
import type { Identity } from './token/identity.js'

/** The grant of an allowed request. */
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
