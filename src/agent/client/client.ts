import { createIntegrityCheck } from '../checksum.js'
import type { AgentDefinition } from '../definition.js'
import {
  type Authority,
  acceptedChain,
  contextForGrant,
  type InboundGrant,
  inboundRunId,
} from '../delegation/act-as.js'
import { type AgentIdentity, type DelegationGrant, delegate } from '../delegation/delegate.js'
import { agentId, audiences, digest, safeUrl, workflowId } from '../http/grammar.js'
import { agentKey, type KeyOptions } from '../keys/keys.js'
import { createNonceJar } from '../keys/proof.js'
import { type ClientAuth, clientAuthentication } from '../tokens/client-auth.js'
import type { FetchLike, TokenEndpoint } from '../tokens/token-request.js'
import { createTokenSource } from '../tokens/token-source.js'
import type { CallContext } from '../workflow/intent.js'
import {
  type AgentRun,
  createRun,
  type RunOwner,
  type RunStart,
  surroundingContext,
} from '../workflow/workflow.js'
import { type AgentRequestInit, createCall } from './call.js'
import { createOriginCheck } from './resource.js'

export interface AgentClientOptions extends KeyOptions {
  /** As `defineAgent` returned it: the object itself is kept and read again before each request. */
  agent: AgentDefinition
  /** https, loopback excepted. */
  tokenEndpoint: string | URL
  clientAuth: ClientAuth
  /** The checksum that was registered. Default: that of the agent at this call. */
  checksum?: string
  /** The default audience of requests (RFC 8707). Default: the origin of each request's URL. */
  resource?: string
  /**
   * The origins at which a resource is served, by resource: where they are not the origin of its own URL, or it is no
   * URL. A token for a resource is sent to these origins and to no other.
   */
  origins?: Readonly<Record<string, readonly string[]>>
  fetch?: FetchLike
  /** Milliseconds since the epoch. */
  now?: () => number
  /** Seconds to wait for the token endpoint. Default 10. */
  timeout?: number
  /** Tokens kept at most. Default 500. */
  maxTokens?: number
  /** Delegations in a chain at most. Default 4. */
  maxDepth?: number
  /** Lets tokens go over plain http to other hosts, as inside a mesh that encrypts by itself. Default false. */
  allowInsecureHttp?: boolean
}

export interface AgentClient {
  readonly id: string
  /** This agent's id and key thumbprint, for others to delegate to. */
  identity(): Promise<AgentIdentity>
  /**
   * The Fetch API's call, with a token for exactly `init.intent` and a fresh DPoP proof. A redirect is given
   * back, not followed.
   *
   * @throws AgentIntegrityError where the agent has changed; nothing is sent
   * @throws AgentTokenError where the authorization server gives no token
   * @throws AjwtDeniedError where an API that ajwt protects denies the request
   * @throws AgentDelegationError, TypeError where the intent may not or cannot be asked for, or the URL is at no
   * origin of the resource; nothing is sent
   */
  fetch(url: string | URL, init: AgentRequestInit): Promise<Response>
  /** A run of a workflow. `hash` is the `intentHash` of the approved request; `runId` and `completedSteps` resume a run. */
  startWorkflow(id: string, options?: RunStart & { hash?: string }): AgentRun
  /**
   * Signs over a part of what this agent may do, here and now, to another agent.
   *
   * @returns the chain of assertions, for the other's `acceptDelegation` or `actAs`
   * @throws AgentDelegationError where that would be more than this agent has
   */
  delegate(to: AgentIdentity, grant: DelegationGrant): Promise<string>
  /**
   * A run under what another agent delegated to this one. `from` is the agent that it must come from, with the key
   * thumbprint that this agent knows of it: from configuration, or from a channel that authenticates the sender.
   *
   * What this agent can conclude: `from` signed the last assertion, for this agent and its key, and the chain is
   * well-formed. What it cannot: that the agents before `from` took part. Their keys are what the chain itself says,
   * so `from` could have made up everything before its own assertion. Only the authorization server,
   * which knows the registered keys, settles that, when it issues a token under the chain.
   *
   * @throws AgentDelegationError
   * @throws TypeError where `from` is missing or ill-formed
   */
  acceptDelegation(delegation: string, options: RunStart & { from: AgentIdentity }): Promise<AgentRun>
  /**
   * For a service that received an agent's call: a run in which it calls on with tokens of its own, the chain one
   * hop longer, never with the token it received. A grant alone gives it no authority: either the caller signed
   * a delegation to this service, or the authorization server exchanges the received token.
   *
   * @throws AgentDelegationError, TypeError
   */
  actAs(grant: InboundGrant, authority: Authority & RunStart): Promise<AgentRun>
}

/**
 * The client of one agent. Its key is reachable through nothing that it returns.
 *
 * @throws TypeError naming the option that is wrong
 */
export function createAgentClient(options: AgentClientOptions): AgentClient {
  const { agent, checksum, resource, allowInsecureHttp = false, now = Date.now } = options
  const maxDepth = positive(options.maxDepth ?? 4, 'maxDepth')
  const id = agentId(agent?.id, 'agent.id')
  if (checksum !== undefined && !/^sha256:[0-9a-f]{64}$/.test(checksum))
    throw new TypeError('checksum is ill-formed')
  if (resource !== undefined) audiences(resource, 'resource')
  const url = safeUrl(options.tokenEndpoint, 'tokenEndpoint', allowInsecureHttp)
  const fetch: FetchLike = options.fetch ?? ((input, init) => globalThis.fetch(input, init))
  const key = agentKey(id, options)
  // Reported by whatever needs the key first, rather than as an unhandled rejection.
  key.catch(() => {})
  const integrity = createIntegrityCheck(agent, checksum)
  const endpoint: TokenEndpoint = {
    url,
    agentId: id,
    key,
    authenticate: clientAuthentication(options.clientAuth, url),
    nonces: createNonceJar(),
    fetch,
    now,
    timeout: positive((options.timeout ?? 10) * 1000, 'timeout in milliseconds'),
  }
  const tokens = createTokenSource(endpoint, positive(options.maxTokens ?? 500, 'maxTokens'), now)
  // A jar of its own: the nonces of an authorization server and of an API on one origin are two things.
  const nonces = createNonceJar()
  const call = createCall({
    agentId: id,
    key,
    integrity,
    tokens,
    nonces,
    fetch,
    now,
    resource,
    checkOrigin: createOriginCheck(options.origins, allowInsecureHttp),
    allowInsecureHttp,
    timeout: endpoint.timeout,
  })

  const owner: RunOwner = {
    client: endpoint,
    call,
    async delegate(context, to, grant) {
      // A changed agent signs nothing, either.
      await integrity()
      return delegate({ id, key: await key, maxDepth, now: now() }, context, to, grant)
    },
  }
  const identity = async () => ({ id, jkt: (await key).thumbprint })
  const delegatee = async () => ({ self: await identity(), maxDepth, now: now() })
  const surroundings = (): CallContext => surroundingContext(owner.client)

  return Object.freeze<AgentClient>({
    id,
    identity,
    fetch: async (input, init) => call(input, init, surroundings()),
    startWorkflow(workflow, { hash, ...start } = {}) {
      if (hash !== undefined) digest(hash, 'hash')
      return createRun(owner, { workflow: workflowId(workflow, 'workflow'), hash }, start)
    },
    delegate: async (to, grant) => owner.delegate(surroundings(), to, grant),
    async acceptDelegation(delegation, options) {
      const { from, ...start } = options ?? {}
      const sender = { id: agentId(from?.id, 'from.id'), jkt: digest(from?.jkt, 'from.jkt') }
      const chain = await acceptedChain(await delegatee(), delegation, sender)
      const last = chain.at(-1)
      return createRun(owner, { chain, workflow: last?.workflow, hash: last?.hash }, start)
    },
    async actAs(grant, { completedSteps = [], runId = inboundRunId(grant), ...authority }) {
      const context = await contextForGrant(await delegatee(), grant, authority)
      return createRun(owner, context, { completedSteps, ...(runId !== undefined && { runId }) })
    },
  })
}

function positive(value: unknown, path: string): number {
  if (Number.isSafeInteger(value) && (value as number) > 0) return value as number
  throw new TypeError(`${path} must be a positive whole number`)
}
