import { decodeJwt } from 'jose'
import { AgentDelegationError } from '../errors.js'
import { isRunId } from '../tokens/server-run.js'
import type { CallContext } from '../workflow/intent.js'
import { type Hop, readChain } from './chain.js'
import type { AgentIdentity } from './delegate.js'

/** What `actAs` reads of the grant that ajwt's middleware puts on a request. */
export interface InboundGrant {
  readonly agent: { readonly id: string; readonly keyThumbprint?: string | undefined }
  readonly intent?:
    | { readonly workflowId?: string | undefined; readonly hash?: string | undefined }
    | undefined
  readonly token: { readonly id: string }
  readonly claims: Readonly<Record<string, unknown>>
}

/** By whose word a service acts on: the calling agent's, or the authorization server's. */
export type Authority =
  /** What the caller signed for this service with `delegate`, as it came with the call. */
  | { delegation: string; subjectToken?: never }
  /** The token that came with the call, to be exchanged at the authorization server (RFC 8693). */
  | { subjectToken: string; delegation?: never }

export interface Delegatee {
  self: AgentIdentity
  maxDepth: number
  now: number
}

/**
 * Reads a delegation that was made for this agent.
 *
 * @throws AgentDelegationError naming the rule that it breaks; `delegation_link_broken` where it was made for
 * another agent, another key, or not by `from`
 */
export async function acceptedChain(
  { self, maxDepth, now }: Delegatee,
  delegation: string,
  from: AgentIdentity,
): Promise<Hop[]> {
  const chain = await readChain(delegation, maxDepth, now)
  const last = chain.at(-1)
  if (last?.to !== self.id || last.toKey !== self.jkt) {
    throw new AgentDelegationError(
      'delegation_link_broken',
      'the delegation is not for this agent and its key',
    )
  }
  if (last.from !== from.id || last.fromKey !== from.jkt) {
    throw new AgentDelegationError(
      'delegation_link_broken',
      'the delegation was not made by that agent and its key',
    )
  }
  return chain
}

/** The run of the caller, which the service's own steps are part of. */
export function inboundRunId({ claims }: InboundGrant): string | undefined {
  const { run_id: runId }: { run_id?: unknown } = Object(claims.intent)
  return isRunId(runId) ? runId : undefined
}

/**
 * The context in which a service calls on for the agent that called it.
 *
 * @throws AgentDelegationError where the delegation is not the caller's own continuation of the call
 * @throws TypeError where the token is not the one that the grant was read from
 */
export async function contextForGrant(
  to: Delegatee,
  grant: InboundGrant,
  authority: Authority,
): Promise<CallContext> {
  const { agent, intent, token, claims } = grant
  if (authority.subjectToken !== undefined) {
    // Another caller's token, exchanged by mistake, would be the confused deputy that this is to prevent.
    if (decodeJwt(authority.subjectToken).jti !== token.id)
      throw new TypeError("subjectToken is not the grant's")
    return { workflow: intent?.workflowId, hash: intent?.hash, subjectToken: authority.subjectToken }
  }
  // A caller whose token is bound to no key can have signed nothing.
  const { id, keyThumbprint: jkt = '' } = agent
  const chain = await acceptedChain(to, authority.delegation, { id, jkt })
  // Exactly the call's chain and one more: a delegation from another run of the same agent is not this call's.
  const { delegation }: { delegation?: unknown } = Object(claims.intent)
  const inbound = delegation ?? []
  if (JSON.stringify(chain.slice(0, -1).map((hop) => hop.assertion)) !== JSON.stringify(inbound)) {
    throw new AgentDelegationError(
      'delegation_link_broken',
      "the delegation does not continue the call's chain",
    )
  }
  const last = chain.at(-1)
  if (last?.workflow !== intent?.workflowId || last?.hash !== intent?.hash) {
    throw new AgentDelegationError(
      'delegation_context_mismatch',
      "the delegation is not for the call's intent",
    )
  }
  return { workflow: last?.workflow, hash: last?.hash, chain }
}
