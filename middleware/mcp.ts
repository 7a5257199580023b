import { internalError, latestDecisions } from '../src/connection/latest-decision.js'
import type { Grant, Verifier, VerifierOptions } from '../src/index.js'
import { createWarning } from '../src/lib/process-warning.js'
import { printable } from '../src/lib/sanitize.js'
import { type McpAuthInfo, mcpAuthInfo } from '../src/mcp/auth-info.js'
import { checkMessage } from '../src/mcp/check-message.js'
import type { DecideMessageOptions } from '../src/mcp/decide-message.js'
import type { McpHeaders } from '../src/mcp/headers.js'
import type { AnyMiddleware } from '../src/mcp/http/exchange.js'
import { type McpPolicy, protectPath } from '../src/mcp/protected-path.js'
import { everyRuleOf, type McpRules, parseMcpRules } from '../src/mcp/rules.js'
import { type BindSessionsOptions, bindSessions } from '../src/mcp/sessions.js'
import { type EndWithTokenOptions, endWithToken } from '../src/mcp/streams.js'
import { warnAboutObservedRule } from '../src/telemetry/observe-warning.js'
import { isRequest, type MiddlewareResult, passThrough, refuseUncalled, toResult } from './core.js'

export type { McpAuthInfo } from '../src/mcp/auth-info.js'
export type { DecideMessageOptions } from '../src/mcp/decide-message.js'
export { honoMessageOf } from '../src/mcp/http/hono-message.js'
export type { McpPolicy } from '../src/mcp/protected-path.js'
export type { McpRules } from '../src/mcp/rules.js'

/** A request to an MCP server, behind the JSON parser. */
export interface MessageRequest {
  /** The object that tells requests apart. */
  readonly source: object
  readonly headers: McpHeaders
  /** As the parser has left it. */
  readonly body: unknown
}

/** Checks the JSON-RPC message of allowed requests. Throws a PolicyError if the rules are invalid. */
export function createToolMiddleware(
  rules: McpRules,
  { denials = 'auto' }: DecideMessageOptions = {},
): (request: MessageRequest) => Promise<MiddlewareResult> {
  if (isRequest(rules)) refuseUncalled('rules', 'requireToolIntent', 'requireToolIntent(rules)')
  const parsed = parseMcpRules(rules)
  for (const { data, target = '' } of everyRuleOf(parsed)) {
    warnAboutObservedRule(data, `a requireToolIntent, in its rule ${printable(target)},`)
  }
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
    const { refused, isAllowed, headers: fields } = await checkMessage(request)
    if (refused !== undefined) return { kind: 'answer', answer: refused.answer, denial: refused.denial }
    if (!isAllowed || decision.outcome !== 'allow') return passThrough
    return toResult({ ...decision, headers: fields }, cached.authorized)
  }
}

/** The options of `protectMcp` in every framework, besides those for denials. */
export interface McpOptions
  extends VerifierOptions,
    DecideMessageOptions,
    BindSessionsOptions,
    EndWithTokenOptions {
  /** The path of the MCP server, from the root of the app. Default: `/mcp`. */
  path?: string
}

/** The parts of `protectMcp` that no framework changes. */
export interface McpProtection {
  readonly verifier: Verifier
  /** Whether a request, which `ajwt` has let through, may be one to the MCP server. */
  isMcp(source: object): Promise<boolean>
  /** In front of the rules. */
  readonly middleware: readonly AnyMiddleware[]
  readonly toolOptions: DecideMessageOptions
}

/** Throws a PolicyError for a wrong policy, path or option. */
export function createMcpProtection(
  policy: McpPolicy | Verifier,
  { path = '/mcp', store, recheckInterval, denials, ...options }: McpOptions,
): McpProtection {
  return {
    ...protectPath(policy, path, options),
    middleware: [
      bindSessions(store === undefined ? {} : { store }),
      endWithToken(recheckInterval === undefined ? {} : { recheckInterval }),
    ],
    toolOptions: denials === undefined ? {} : { denials },
  }
}

/** The grant as the MCP SDKs read it from `req.auth`. Undefined without a grant. */
export function authOf(grant: Grant | undefined): McpAuthInfo | undefined {
  return grant === undefined ? undefined : mcpAuthInfo(grant)
}
