export {
  type MemorySessionOptions,
  type MemorySessionStore,
  memorySessionStore,
} from '../stores/memory/sessions.js'
export type { SessionStore } from '../stores/store.js'
export { allowedTools } from './allowed-tools.js'
export { type McpAuthInfo, mcpAuthInfo, mcpGrant } from './auth-info.js'
export { type DecideMessageOptions, decideMessage } from './decide-message.js'
export type { McpHeaders } from './headers.js'
export type { AnyMiddleware } from './http/exchange.js'
export type { McpMessage } from './message.js'
export type { McpPolicy } from './protected-path.js'
export type { ArgumentConstraint, McpRules, ToolRule } from './rules.js'
export { sessionOwner } from './session-owner.js'
export { type BindSessionsOptions, bindSessions } from './sessions.js'
export { type EndWithTokenOptions, endWithToken } from './streams.js'
