import type { JsonMembers } from '../lib/json.js'

/** A JSON-RPC request or notification. */
export interface McpMessage {
  readonly jsonrpc: '2.0'
  /** Undefined for a notification. */
  readonly id?: string | number
  readonly method: string
  readonly params?: JsonMembers | undefined
}
