import type { Grant } from './decision.js'
import type { Delegation } from './delegation/delegation.js'
import type { Access } from './routing/match.js'
import type { Consumed } from './stores/replay.js'
import type { Identity } from './token/identity.js'
import type { VerifiedToken } from './token/verify-token.js'

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

/** A request that was allowed with a grant. `requireIntent` and `check` apply further rules to it. */
export interface AuthorizedRequest {
  readonly grant: Grant
  readonly access: Access
  readonly verified: VerifiedToken
  readonly delegation: Delegation
  /** The proofs and single-use tokens that this request has consumed so far. */
  readonly consumed: Consumed[]
}

export function toAuthorized(
  { grant, access, verified, delegation }: Omit<AuthorizedRequest, 'consumed'>,
  consumed: Consumed[],
): AuthorizedRequest {
  return { grant, access, verified, delegation, consumed }
}
