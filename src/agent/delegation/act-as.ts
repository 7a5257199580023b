import { decodeJwt } from 'jose'
import { AgentDelegationError } from '../errors.js'
import { isRunId } from '../tokens/server-run.js'
import type { CallContext } from '../workflow/intent.js'
import { type Hop, readChain } from './chain.js'
import type { AgentIdentity } from './delegate.js'

/** The part of the middleware's grant that `actAs` reads. */
export interface InboundGrant {
  readonly agent: { readonly id: string; readonly keyThumbprint?: string | undefined }
  readonly intent?:
    | { readonly workflowId?: string | undefined; readonly hash?: string | undefined }
    | undefined
  readonly token: { readonly id: string }
  readonly claims: Readonly<Record<string, unknown>>
}

/** The source of a service's right to act: a delegation by the caller, or an exchanged token. */
export type Authority =
  /** The delegation to this service, which the caller signed with `delegate` and sent along. */
  | { delegation: string; subjectToken?: never }
  /** The received token, to be exchanged at the authorization server (RFC 8693). */
  | { subjectToken: string; delegation?: never }

export interface Delegatee {
  self: AgentIdentity
  maxDepth: number
  now: number
}

/**
 * Reads and verifies a delegation to this agent.
 *
 * @throws AgentDelegationError with the code of the broken rule; `delegation_link_broken` if the delegation
 * is to another agent or key, or not by `from`
 */
export async function acceptChain(
  { self, maxDepth, now }: Delegatee,
  delegation: string,
  from: AgentIdentity,
): Promise<Hop[]> {
  const chain = await readChain(typeof delegation === 'string' ? delegation.split(' ') : [], maxDepth, now)
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

/** The run of the caller. The service's own steps belong to it. */
export function inboundRunId({ claims }: InboundGrant): string | undefined {
  const { run_id: runId }: { run_id?: unknown } = Object(claims.intent)
  return isRunId(runId) ? runId : undefined
}

/**
 * The context in which a service acts for the agent that called it.
 *
 * @throws AgentDelegationError if the delegation does not continue the chain of the call
 * @throws TypeError if `subjectToken` is not the token of the grant
 */
export async function contextForGrant(
  to: Delegatee,
  grant: InboundGrant,
  authority: Authority,
): Promise<CallContext> {
  const { agent, intent, token, claims } = grant
  if (authority.subjectToken !== undefined) {
    // Exchanging another caller's token by mistake would make this service a confused deputy.
    if (decodeJwt(authority.subjectToken).jti !== token.id) {
      throw new TypeError('subjectToken must be the token that the grant was read from (its jti differs)')
    }
    return { workflow: intent?.workflowId, hash: intent?.hash, subjectToken: authority.subjectToken }
  }
  // Without a bound key the caller cannot have signed a delegation: an empty thumbprint matches none.
  const { id, keyThumbprint: jkt = '' } = agent
  const chain = await acceptChain(to, authority.delegation, { id, jkt })
  // The chain of the call plus one hop. Otherwise a delegation from another run of the same agent would pass.
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
