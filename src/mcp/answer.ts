import type { Answer, Denial } from '../decision.js'
import type { MalformedMessage, McpMessage } from './message.js'
import type { Unknown } from './target.js'

/** How a denied message is answered. */
export interface AnswerForm {
  readonly message: McpMessage | undefined
  /** `http`: a denial is an HTTP status, whatever its cause. */
  readonly denials: 'auto' | 'http'
  /** Whether the caller speaks revision 2026-07-28 or later. */
  readonly isModern: boolean
}

/** Not of the ranges that JSON-RPC and MCP reserve. */
const accessDenied = 403

/**
 * The response to a denied message. Under `auto`, a denial that no other token can mend is a tool result or a
 * JSON-RPC error, which reaches the model. Every other denial is an HTTP status, which the client acts on.
 */
export function toMessageAnswer(denial: Denial, form: AnswerForm): Answer {
  const { message, denials } = form
  const isMendable = denial.error !== 'access_denied'
  if (denials === 'http' || isMendable || message?.id === undefined) return toHttpAnswer(denial)
  if (message.method === 'tools/call') return toToolResult(denial, form)
  return toJsonRpc(denial, 200, message.id, accessDenied, denial.description)
}

/** The plain HTTP response of a denial. */
export function toHttpAnswer({ status, headers, body }: Denial): Answer {
  return { status, headers, body: JSON.stringify(body) }
}

/** A JSON-RPC error for a body that no rule can be applied to. Always HTTP 400. */
export function toMalformedAnswer(denial: Denial, { code, id }: MalformedMessage): Answer {
  return toJsonRpc(denial, 400, id ?? null, code, denial.description)
}

/** A JSON-RPC error for a name that no rule has. */
export function toUnknownAnswer(denial: Denial, { code, what }: Unknown, form: AnswerForm): Answer {
  const { message, denials, isModern } = form
  if (denials === 'http' || message?.id === undefined) return toHttpAnswer(denial)
  // "404 Not Found" for an unknown method since 2026-07-28. For earlier clients it means an ended session.
  const status = what === 'method' && isModern ? 404 : 200
  return toJsonRpc(denial, status, message.id, code, `Unknown ${what}`)
}

function toToolResult(denial: Denial, { message, isModern }: AnswerForm): Answer {
  const result = {
    ...(isModern ? { resultType: 'complete' } : {}),
    content: [
      {
        type: 'text',
        text: `Access denied (${denial.code}): ${denial.description} Do not repeat this call: it will be denied again.`,
      },
    ],
    isError: true,
    _meta: { 'io.modelcontextprotocol/authorization': authorization, 'ajwt/code': denial.code },
  }
  return toAnswer(denial, 200, { jsonrpc: '2.0', id: message?.id, result })
}

/** Structured authorization denials (MCP SEP-2643). */
const authorization = Object.freeze({ reason: 'insufficient_authorization', remediation: 'unavailable' })

function toJsonRpc(denial: Denial, status: number, id: unknown, code: number, message: string): Answer {
  const isDenied = code === accessDenied
  const data = { code: denial.code, ...(isDenied ? { authorization } : {}) }
  return toAnswer(denial, status, { jsonrpc: '2.0', id, error: { code, message, data } })
}

/** The fields of the denial that do not belong to its status. */
function toAnswer({ headers }: Denial, status: number, body: object): Answer {
  const kept = Object.entries(headers).filter(
    ([name]) => name !== 'www-authenticate' && name !== 'retry-after',
  )
  return { status, headers: Object.fromEntries(kept), body: JSON.stringify(body) }
}
