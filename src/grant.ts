import type { Grant } from './decision.js'
import type { Delegation } from './delegation/delegation.js'
import { sharedInProcess } from './lib/copies.js'
import { createPrivateSlot } from './lib/private-slot.js'
import type { AppliedRuleData } from './policy/mcp-schema.js'
import type { Access } from './routing/match.js'
import type { RequestCheck, RuleInput } from './rules/rule-input.js'
import type { Consumed } from './stores/replay.js'
import type { Identity } from './token/identity.js'
import type { VerifiedToken } from './token/verify-token.js'

/** Names the slot in which a grant holds its request. The engine sets and reads it. */
export const requestSlotName = 'request of a grant'

const slots = sharedInProcess(requestSlotName, () => createPrivateSlot<object>())

/** The grant of an allowed request. */
export function toGrant(identity: Identity, delegation: Delegation, { route, params }: Access): Grant {
  const grant = slots.addTo({
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
  return Object.freeze(grant)
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

/** A rule that is applied after the route's own, and the request that it is applied to. */
export interface AppliedRule {
  readonly data: AppliedRuleData
  /** The values that `param` in a claim constraint refers to. */
  readonly params: Grant['params']
  /** The method on the wire, for telemetry and for the scopes of challenges. */
  readonly method: string
  /** True for `requireIntent`: it applies to every request of the route, so challenges name its scopes. */
  readonly isPermanent: boolean
  /** Whether the request counts once in a limit. A connection with several messages counts each of them. */
  readonly isOncePerRequest: boolean
  /** The request as the framework has it. */
  readonly request: unknown
  /** The rule's conditions on what the request says, where a framework has read it. */
  readonly checkRequest?: RequestCheck | undefined
  /** The arguments of the called MCP tool or prompt. */
  readonly arguments?: unknown
  /** Tells limits without a name apart. Default: the text of the limits. */
  readonly place?: string | undefined
  /** The rule of an MCP server that is applied, for the operator. */
  readonly target?: string | undefined
  /** The scope that other rules of this request need. A challenge names it too. */
  readonly scopesBeside?: readonly (string | undefined)[]
}

/** The input of a rule that is applied after the route's own. */
export function toHandlerInput(
  { grant, access, verified, delegation, consumed }: AuthorizedRequest,
  applied: AppliedRule,
  now: number,
  isObserved: boolean,
): RuleInput {
  return {
    token: verified.token,
    delegation,
    params: applied.params,
    now,
    consumed,
    route: access.route,
    isObserved,
    isOncePerRequest: applied.isOncePerRequest,
    method: applied.method,
    toGrant: () => grant,
    source: {},
    trace: {},
    request: applied.request,
    checkRequest: applied.checkRequest,
    arguments: applied.arguments,
  }
}

/** If the route has mode "enforce", its handler's rules are enforced too, even in an observing policy. */
export function modeBehind({ kind }: Access): 'enforce' | undefined {
  return typeof kind === 'object' && kind.mode === 'enforce' ? 'enforce' : undefined
}
