export { type AgentChecksumGrantOptions, agentChecksumGrant, intentClaims } from './grant.js'
export { type MemoryRegistry, type MemoryRegistryOptions, memoryRegistry } from './memory-registry.js'
export { Refusal, type RefusalReason, type RefusedRequest } from './refusal.js'
export {
  type AgentRegistration,
  type Approval,
  type ApprovalQuery,
  type AuthorizationDetail,
  checkedRegistration,
  type RecordedApproval,
  type RegisteredAgent,
  RegistrationError,
  type Registry,
} from './registry.js'
export type { WorkflowStep, Workflows } from './workflows.js'
