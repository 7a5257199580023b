import { internalError, latestDecisions } from '../src/connection/latest-decision.js'
import type { DecideMessageOptions } from '../src/mcp/decide-message.js'
import type { McpHeaders } from '../src/mcp/headers.js'
import { judgeMessage } from '../src/mcp/judge-message.js'
import { type McpRules, modesOf, parseMcpRules } from '../src/mcp/rules.js'
import { warnAboutObservedRule } from '../src/telemetry/observe-warning.js'
import {
  createWarning,
  isRequest,
  type MiddlewareResult,
  passThrough,
  refuseUncalled,
  toResult,
} from './core.js'

export type { DecideMessageOptions } from '../src/mcp/decide-message.js'
export { parseMessage } from '../src/mcp/message.js'
export type { McpRules } from '../src/mcp/rules.js'

/** A request to an MCP server, behind the JSON parser. */
export interface MessageRequest {
  /** The object that tells requests apart. */
  readonly source: object
  readonly headers: McpHeaders
  /** As the parser has left it. */
  readonly body: unknown
}

/** Judges the JSON-RPC message of allowed requests. Throws a PolicyError if the rules are invalid. */
export function createToolMiddleware(
  rules: McpRules,
  { denials = 'auto' }: DecideMessageOptions = {},
): (request: MessageRequest) => Promise<MiddlewareResult> {
  if (isRequest(rules)) refuseUncalled('rules', 'requireToolIntent', 'requireToolIntent(rules)')
  const parsed = parseMcpRules(rules)
  for (const mode of modesOf(parsed)) warnAboutObservedRule({ mode })
  const warnOnce = createWarning()
  return async ({ source, headers, body }) => {
    const cached = latestDecisions.get(source)
    if (cached === undefined) {
      warnOnce(
        'a requireToolIntent was reached by a request that no ajwt middleware has seen: mount ajwt(policy) in front of ' +
          'it, on the same app; until then it answers 503',
        'AJWT_NOT_MOUNTED',
      )
      return toResult(internalError)
    }
    const decision = await cached.decision
    const request = { rules: parsed, body, decision, headers, denials, isOnlyMessage: true }
    const { refused, isAllowed, headers: fields } = await judgeMessage(request)
    if (refused !== undefined) return { kind: 'answer', answer: refused.answer, denial: refused.denial }
    if (!isAllowed || decision.outcome !== 'allow') return passThrough
    return toResult({ ...decision, headers: fields }, cached.authorized)
  }
}
