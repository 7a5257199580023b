export type { Authority, InboundGrant } from './act-as.js'
export type { AgentRequestInit } from './call.js'
export type { AjwtChallenge } from './challenge.js'
export { agentChecksum, intentHash } from './checksum.js'
export { type AgentClient, type AgentClientOptions, createAgentClient } from './client.js'
export type { ClientAuth } from './client-auth.js'
export { type AgentDefinition, type AgentTool, canonicalPrompt, defineAgent } from './definition.js'
export type { AgentIdentity, DelegationGrant } from './delegate.js'
export type { AgentKeyAlgorithm } from './derive.js'
export {
  AgentDelegationError,
  AgentIntegrityError,
  AgentTokenError,
  type AjwtCode,
  AjwtDeniedError,
  type DelegationFault,
} from './errors.js'
export type { AgentIntent } from './intent.js'
export type { KeyOptions, KeyPair } from './keys.js'
export type { FetchLike } from './token-request.js'
export type { AgentRun, AgentStep } from './workflow.js'
