import type { Decision } from '../decision.js'
import { checkMessage } from './check-message.js'
import type { McpHeaders } from './headers.js'
import { type McpRules, rulesOf } from './rules.js'

export interface DecideMessageOptions {
  /**
   * `http`: every denial is an HTTP status. Default `auto`: one that no other token can mend is a tool
   * result.
   */
  denials?: 'auto' | 'http'
}

/**
 * Decides one JSON-RPC message of an MCP server, on any host. `message` is the parsed body, undefined where
 * there is none; `decision` is the object that `verify` returned; `headers` are the fields of the request. No
 * `response`: the server may handle the message. Rejects with a PolicyError if the rules are invalid, and
 * with a TypeError if no verifier made the decision.
 */
export async function decideMessage(
  rules: McpRules,
  message: unknown,
  decision: Decision,
  headers: McpHeaders,
  { denials = 'auto' }: DecideMessageOptions = {},
): Promise<{ response?: Response }> {
  const request = { rules: rulesOf(rules), body: message, decision, headers, denials, isOnlyMessage: false }
  const { refused } = await checkMessage(request)
  if (refused === undefined) return {}
  const { status, headers: fields, body } = refused.answer
  return { response: new Response(body, { status, headers: fields }) }
}
