import { createIntegrityCheck } from '../checksum.js'
import type { AgentDefinition } from '../definition.js'
import {
  type Authority,
  acceptChain,
  contextForGrant,
  type InboundGrant,
  inboundRunId,
} from '../delegation/act-as.js'
import { type AgentIdentity, type DelegationGrant, delegate } from '../delegation/delegate.js'
import type { FetchLike } from '../http/fetch.js'
import {
  parseAgentId,
  parseAudience,
  parseAudiences,
  parseSafeUrl,
  parseScope,
  parseSha256,
  parseWorkflowId,
} from '../http/grammar.js'
import { createAgentKey, type KeyOptions } from '../keys/keys.js'
import { createNonceCache } from '../keys/proof.js'
import { createMcpFetch, type McpFetch, type McpIntents } from '../mcp/mcp-fetch.js'
import {
  type AgentOAuthProvider,
  createOAuthProvider,
  type ProviderIntent,
  type ProviderParts,
} from '../mcp/oauth-provider.js'
import { type ClientAuth, clientAuthentication } from '../tokens/client-auth.js'
import { createGrant, type GrantOptions, type GrantType, grantTypes } from '../tokens/grants.js'
import { discoverServer, type FindServer } from '../tokens/server.js'
import type { TokenEndpoint } from '../tokens/token-endpoint.js'
import { createTokenSource } from '../tokens/token-source.js'
import type { CallContext } from '../workflow/intent.js'
import {
  type AgentRun,
  createRun,
  currentContext,
  type RunClient,
  type RunStart,
} from '../workflow/workflow.js'
import { type AgentRequestInit, createCall } from './call.js'
import { createOriginCheck } from './resource.js'

export interface AgentClientOptions extends KeyOptions, GrantOptions {
  /**
   * The object that `defineAgent` returned. It is read again before each request. Only the grant
   * `agent_checksum` requires it. Without it, the client's id is the client id of `clientAuth`.
   */
  agent?: AgentDefinition
  /**
   * The issuer identifier of the authorization server, which is found through its metadata (RFC 8414, OpenID
   * Connect Discovery). Either this or `tokenEndpoint`.
   */
  issuer?: string
  /** An https URL, or http on loopback. */
  tokenEndpoint?: string | URL
  /** Default `agent_checksum`. */
  grant?: GrantType
  clientAuth: ClientAuth
  /** The registered checksum. Default: the checksum of the agent when the client is made. */
  checksum?: string
  /** The default audience of requests (RFC 8707). Default: the origin of each request's URL. */
  resource?: string
  /**
   * Origins by resource, for a resource that is no URL or is not served at the origin of its URL. A token for
   * the resource is sent to these origins and to no other.
   */
  origins?: Readonly<Record<string, readonly string[]>>
  /**
   * Scopes that a request may get besides those of its intent, if the API requires them
   * (`insufficient_scope`). Default: none.
   */
  stepUp?: string | readonly string[]
  fetch?: FetchLike
  /** Milliseconds since the epoch. */
  now?: () => number
  /** Seconds to wait for the token endpoint. Default 10. */
  timeout?: number
  /** Maximum number of cached tokens. Default 500. */
  maxTokens?: number
  /** Maximum number of delegations in a chain. Default 4. */
  maxDepth?: number
  /** Allows plain http to hosts other than loopback, for example in a mesh that encrypts. Default false. */
  allowInsecureHttp?: boolean
}

export interface AgentClient {
  readonly id: string
  /** This agent's id and key thumbprint. Other agents need them to delegate to this one. */
  identity(): Promise<AgentIdentity>
  /**
   * `fetch` with a token for exactly `init.intent` and a fresh DPoP proof. A redirect is returned, not
   * followed.
   *
   * @throws AgentIntegrityError if the agent has changed; nothing is sent
   * @throws AgentTokenError if the authorization server issues no token
   * @throws AjwtDeniedError if an API that ajwt protects denies the request
   * @throws AgentDelegationError if the intent exceeds what was delegated to this agent; nothing is sent
   * @throws TypeError if the intent is malformed or contradicts its run, or if the URL is at no origin of the
   * resource; nothing is sent
   */
  fetch(url: string | URL, init: AgentRequestInit): Promise<Response>
  /**
   * A `fetch` for the transport of an MCP client, for the server `resource` alone. Each `tools/call` gets the
   * intent of its tool, and any other message `intents.default`.
   *
   * @throws TypeError if an argument is malformed
   */
  mcpFetch(resource: string, intents: McpIntents): McpFetch
  /**
   * An `OAuthClientProvider` for hosts that take no `fetch`. It has one scope for all messages, and needs a
   * host that sends DPoP proofs (`dpop()`). `P` is the host's own type of it, whose session class has private
   * members.
   *
   * @throws TypeError if no resource is named
   */
  oauthProvider<P extends object = AgentOAuthProvider>(intent?: Partial<ProviderIntent>): P
  /**
   * Starts a run of a workflow. `hash` is the `intentHash` of the approved request. `runId` and
   * `completedSteps` resume a run.
   */
  startWorkflow(id: string, options?: RunStart & { hash?: string }): AgentRun
  /**
   * Delegates a part of this agent's current rights to another agent.
   *
   * @returns the chain of assertions, for `acceptDelegation` or `actAs` of the other agent
   * @throws AgentDelegationError if the grant exceeds the rights of this agent
   */
  delegate(to: AgentIdentity, grant: DelegationGrant): Promise<string>
  /**
   * Starts a run under a delegation to this agent. `from` is the expected delegator. Its key thumbprint must
   * come from configuration, or from a channel that authenticates the sender.
   *
   * The check proves that `from` signed the last assertion for this agent and its key, and that the chain is
   * well-formed. It does not prove that the agents before `from` took part: their keys come from the chain
   * itself, so `from` could have forged everything before its own assertion. The authorization server knows
   * the registered keys, and checks them when it issues a token under the chain.
   *
   * @throws AgentDelegationError
   * @throws TypeError if `from` is missing or malformed
   */
  acceptDelegation(delegation: string, options: RunStart & { from: AgentIdentity }): Promise<AgentRun>
  /**
   * Starts a run in which a service acts for the agent that called it. The service uses tokens of its own,
   * with the chain one hop longer, and never the received token. The grant alone gives it no authority:
   * either the caller signed a delegation to this service, or the authorization server exchanges the received
   * token.
   *
   * @throws AgentDelegationError, TypeError
   */
  actAs(grant: InboundGrant, authority: Authority & RunStart): Promise<AgentRun>
}

/**
 * Makes the client of one agent. Nothing that the client returns gives access to its key.
 *
 * @throws TypeError naming the option that is wrong
 */
export function createAgentClient(options: AgentClientOptions): AgentClient {
  const { agent, checksum, resource, allowInsecureHttp = false, now = Date.now } = options
  const maxDepth = positive(options.maxDepth ?? 4, 'maxDepth')
  const grantType = parseGrantType(options)
  const clientId: unknown = options.clientAuth?.clientId
  const id = agent ? parseAgentId(agent.id, 'agent.id') : parseAgentId(clientId, 'clientAuth.clientId')
  if (checksum !== undefined && !/^sha256:[0-9a-f]{64}$/.test(checksum))
    throw new TypeError(
      'checksum must be "sha256:" and 64 lower-case hex digits, as agentChecksum returns it',
    )
  if (resource !== undefined) parseAudiences(resource, 'resource')
  const fetch: FetchLike = options.fetch ?? ((input, init) => globalThis.fetch(input, init))
  const key = createAgentKey(id, options)
  // The first use of the key reports the error. It must not be an unhandled rejection before that.
  key.catch(() => {})
  const integrity = agent ? createIntegrityCheck(agent, checksum) : async () => ''
  const timeout = positive((options.timeout ?? 10) * 1000, 'timeout in milliseconds')
  const endpoint: TokenEndpoint = {
    findServer: serverFinder(options, { fetch, now, timeout, allowInsecureHttp }),
    agentId: id,
    clientId: String(clientId),
    key,
    authenticate: clientAuthentication(options.clientAuth),
    nonces: createNonceCache(),
    fetch,
    now,
    timeout,
  }
  const grant = createGrant(grantType, endpoint, options)
  const tokens = createTokenSource(grant, positive(options.maxTokens ?? 500, 'maxTokens'), now)
  // Not the token endpoint's cache: an authorization server and an API on one origin issue different nonces.
  const nonces = createNonceCache()
  const checkOrigin = createOriginCheck(options.origins, allowInsecureHttp)
  const call = createCall({
    agentId: id,
    key,
    integrity,
    tokens,
    nonces,
    fetch,
    now,
    resource,
    checkOrigin,
    stepUp: parseScope(options.stepUp ?? '', 'stepUp'),
    allowInsecureHttp,
    timeout,
  })

  const runClient: RunClient = {
    call,
    async delegate(context, to, grant) {
      // A changed agent must not sign a delegation either.
      await integrity()
      return delegate({ id, key: await key, maxDepth, now: now() }, context, to, grant)
    },
  }
  const identity = async () => ({ id, jkt: (await key).thumbprint })
  const delegatee = async () => ({ self: await identity(), maxDepth, now: now() })
  const context = (): CallContext => currentContext(runClient)

  return Object.freeze<AgentClient>({
    id,
    identity,
    fetch: async (input, init) => call(input, init, context()),
    mcpFetch: (resource, intents) =>
      createMcpFetch(
        async (input, init) => call(input, init, context()),
        parseAudience(resource, 'resource'),
        intents,
      ),
    oauthProvider<P extends object>(intent: Partial<ProviderIntent> = {}): P {
      const getToken: ProviderParts['getToken'] = async (intent) =>
        tokens.get(intent, await integrity(), false)
      const { clientId } = endpoint
      const provider = createOAuthProvider(
        { agentId: id, clientId, key, getToken, checkOrigin, resource, now },
        { scope: '', ...intent },
      )
      // The type of a host has a class with private members, which no other type can have.
      return provider as object as P
    },
    startWorkflow(workflow, { hash, ...start } = {}) {
      if (hash !== undefined) parseSha256(hash, 'hash')
      return createRun(runClient, { workflow: parseWorkflowId(workflow, 'workflow'), hash }, start)
    },
    delegate: async (to, grant) => runClient.delegate(context(), to, grant),
    async acceptDelegation(delegation, options) {
      const { from, ...start } = options ?? {}
      const sender = { id: parseAgentId(from?.id, 'from.id'), jkt: parseSha256(from?.jkt, 'from.jkt') }
      const chain = await acceptChain(await delegatee(), delegation, sender)
      const last = chain.at(-1)
      return createRun(runClient, { chain, workflow: last?.workflow, hash: last?.hash }, start)
    },
    async actAs(grant, { completedSteps = [], runId = inboundRunId(grant), ...authority }) {
      const context = await contextForGrant(await delegatee(), grant, authority)
      return createRun(runClient, context, { completedSteps, ...(runId !== undefined && { runId }) })
    },
  })
}

function parseGrantType({ grant = 'agent_checksum', agent, issuer }: AgentClientOptions): GrantType {
  if (!grantTypes.includes(grant)) throw new TypeError(`grant must be ${grantTypes.join(', ')}`)
  if (grant === 'agent_checksum' && agent === undefined)
    throw new TypeError(
      'agent must be what defineAgent returned, or grant another one than agent_checksum, as client_credentials',
    )
  if (grant === 'authorization_code' && issuer === undefined)
    throw new TypeError('the grant authorization_code needs the option issuer')
  return grant
}

function serverFinder(
  { issuer, tokenEndpoint }: AgentClientOptions,
  options: Parameters<typeof discoverServer>[1],
): FindServer {
  if ((issuer === undefined) === (tokenEndpoint === undefined))
    throw new TypeError('either issuer or tokenEndpoint must be set, and not both')
  if (issuer !== undefined) return discoverServer(issuer, options)
  const url = parseSafeUrl(tokenEndpoint, 'tokenEndpoint', options.allowInsecureHttp)
  const server = { issuer: undefined, tokenEndpoint: url, sendsIssuer: false }
  return async () => server
}

function positive(value: number, path: string): number {
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new TypeError(`${path} must be a positive whole number`)
}
