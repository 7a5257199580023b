import type { Decision } from '../decision.js'
import type { McpRules } from './rules.js'

/** Fields of a request: a Fetch `Headers`, or the object of Node. */
export type McpHeaders = Headers | { readonly [name: string]: string | readonly string[] | undefined }

export interface DecideMessageOptions {
  /** `http`: every denial is an HTTP status. Default `auto`. */
  denials?: 'auto' | 'http'
}

/** Decides one JSON-RPC message of a request that a verifier has decided. */
export async function decideMessage(
  _rules: McpRules,
  _message: unknown,
  _decision: Decision,
  _headers: McpHeaders,
  _options: DecideMessageOptions = {},
): Promise<{ response?: Response }> {
  return { response: new Response(null, { status: 503 }) }
}
