import type { AgentRequestInit } from '../client/call.js'
import { AgentDelegationError, AgentTokenError, AjwtDeniedError } from '../errors.js'
import type { AgentIntent } from '../workflow/intent.js'

/** The intent of each message for one MCP server. */
export interface McpIntents {
  /** For every message but the calls of `tools`: lists, streams, the end of a session. */
  default: AgentIntent
  /** By the exact name of the tool, for `tools/call`. */
  tools?: Readonly<Record<string, AgentIntent>>
  /**
   * The outcome of a tool call that is denied, or that gets no token. `'result'`, the default: a tool result
   * with `isError` that says why, because many frameworks hide the error of a `fetch` from their model.
   * `'throw'`: the error. A changed agent always throws.
   */
  denials?: 'result' | 'throw'
}

/** A `fetch` for the transports of MCP clients. */
export type McpFetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

type AgentFetch = (url: string | URL, init: AgentRequestInit) => Promise<Response>

/** @throws TypeError if `resource` or `intents` is malformed */
export function createMcpFetch(fetch: AgentFetch, resource: string, intents: McpIntents): McpFetch {
  const fallback = intentFor(resource, intents?.default, 'default')
  const tools = new Map(
    Object.entries(intents.tools ?? {}).map(([name, intent]) => [
      name,
      intentFor(resource, intent, `tools[${JSON.stringify(name)}]`),
    ]),
  )
  return async (input, init) => {
    const request = await readRequest(input, init)
    const call = toolCallOf(request.text)
    const intent = (call && tools.get(call.name)) ?? fallback
    const response = fetch(request.url, { ...request.init, intent })
    if (call === undefined || intents.denials === 'throw') return response
    return response.catch((error: unknown) => errorResult(error, call.id))
  }
}

/** A tool result in place of an error that the model can do something about. */
function errorResult(error: unknown, id: unknown): Response {
  const isDenial =
    error instanceof AjwtDeniedError ||
    error instanceof AgentTokenError ||
    error instanceof AgentDelegationError
  if (!isDenial || id === undefined) throw error
  const result = {
    // Required since revision 2026-07-28, and ignored before.
    resultType: 'complete',
    content: [{ type: 'text', text: error.message }],
    isError: true,
    ...('code' in error && { _meta: { 'ajwt/code': error.code } }),
  }
  return Response.json({ jsonrpc: '2.0', id, result })
}

function intentFor(resource: string, intent: AgentIntent | undefined, path: string): AgentIntent {
  if (typeof intent !== 'object' || intent === null)
    throw new TypeError(`mcpFetch: ${path} must be an intent, as in { scope: 'orders:read' }`)
  if (intent.resource !== undefined && intent.resource !== resource)
    throw new TypeError(`mcpFetch: ${path}.resource contradicts the first argument: leave it out`)
  return { ...intent, resource }
}

interface McpRequest {
  url: string | URL
  init: RequestInit
  /** The message, as text: it decides about the token. */
  text: string | undefined
}

async function readRequest(input: string | URL | Request, init: RequestInit = {}): Promise<McpRequest> {
  if (!(input instanceof Request)) return { url: input, init: withoutFollow(init), text: textOf(init.body) }
  const { url, method, headers, signal, body } = new Request(input, init)
  const text = body === null ? undefined : await new Response(body).text()
  return { url, init: { method, headers, signal, ...(text !== undefined && { body: text }) }, text }
}

/** The client returns redirects: a proof is for one URL. */
function withoutFollow({ redirect, ...init }: RequestInit): RequestInit {
  return redirect === undefined || redirect === 'follow' ? init : { ...init, redirect }
}

function textOf(body: RequestInit['body']): string | undefined {
  if (body === undefined || body === null) return undefined
  if (typeof body === 'string') return body
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return new TextDecoder().decode(body)
  throw new TypeError('mcpFetch: the body of an MCP message must be text or bytes')
}

/** The name and the id, if the message calls a tool. */
function toolCallOf(text: string | undefined): { name: string; id: unknown } | undefined {
  if (text === undefined) return undefined
  const message = parse(text)
  // One token for several calls would have the rights of all of them, and ajwt refuses batches.
  if (Array.isArray(message))
    throw new TypeError('mcpFetch: send each JSON-RPC message in a request of its own')
  const { method, params, id }: { method?: unknown; params?: unknown; id?: unknown } = Object(message)
  const { name }: { name?: unknown } = Object(params)
  return method === 'tools/call' && typeof name === 'string' ? { name, id } : undefined
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new TypeError('mcpFetch: the body is no JSON-RPC message')
  }
}
