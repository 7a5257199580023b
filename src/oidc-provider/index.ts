export { type AgentChecksumGrantOptions, agentChecksumGrant, intentClaims } from './grant.js'
export { type MemoryRegistry, memoryRegistry } from './memory-registry.js'
export { Refusal, type RefusalReason } from './refusal.js'
export {
  type AgentRegistration,
  type Approval,
  type AuthorizationDetail,
  checkedRegistration,
  type RegisteredAgent,
  RegistrationError,
  type Registry,
} from './registry.js'
export type { WorkflowStep, Workflows } from './workflows.js'
