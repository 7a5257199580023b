export { agentChecksum, intentHash } from './checksum.js'
export type { AgentRequestInit } from './client/call.js'
export { type AgentClient, type AgentClientOptions, createAgentClient } from './client/client.js'
export { clients } from './client/clients.js'
export { challengeOf } from './client/denied.js'
export { type AgentDefinition, type AgentTool, canonicalPrompt, defineAgent } from './definition.js'
export type { Authority, InboundGrant } from './delegation/act-as.js'
export type { AgentIdentity, DelegationGrant } from './delegation/delegate.js'
export {
  AgentDelegationError,
  AgentIntegrityError,
  AgentTokenError,
  type AjwtCode,
  AjwtDeniedError,
  type DelegationFault,
} from './errors.js'
export type { AjwtChallenge } from './http/challenge.js'
export type { FetchLike } from './http/fetch.js'
export type { AgentKeyAlgorithm } from './keys/derive.js'
export type { KeyOptions, KeyPair } from './keys/keys.js'
export type { McpFetch, McpIntents } from './mcp/mcp-fetch.js'
export type { AgentOAuthProvider, DpopSigner, ProviderIntent } from './mcp/oauth-provider.js'
export type {
  AuthorizationOptions,
  AuthorizationRequest,
  AuthorizationStore,
  SavedAuthorization,
} from './tokens/authorization-code.js'
export type { ClientAuth } from './tokens/client-auth.js'
export type { GrantOptions, GrantType } from './tokens/grants.js'
export { type ToolObjects, type ToolsOptions, toolsOf } from './tools/tools-of.js'
export type { AgentIntent } from './workflow/intent.js'
export type { AgentRun, AgentStep } from './workflow/workflow.js'
