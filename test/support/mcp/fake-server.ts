import { randomUUID } from 'node:crypto'
import { createVerifier, type Policy, type VerifierOptions } from '../../../src/index.js'
import type { AnyMiddleware } from '../../../src/mcp/index.js'
import { createTestIssuer, type TestCall } from '../../../src/testing/index.js'
import { type McpCall, type McpReply, mcpApps } from './apps.js'

/** A JSON-RPC request, as far as the tests read it. */
interface Message {
  readonly id?: number
  readonly method?: string
  readonly params?: { readonly task?: object; readonly as?: string; readonly taskId?: string }
}

export interface FakeServer {
  /** The requests that reached the handler: HTTP method and JSON-RPC method. */
  readonly reached: string[]
  /** The sessions that the server has. */
  readonly sessions: Set<string>
  handler(call: McpCall): McpReply
}

const json = { 'content-type': 'application/json' }
export const events = { 'content-type': 'text/event-stream' }

export const toEvent = (message: object) => `event: message\ndata: ${JSON.stringify(message)}\n\n`

/**
 * A server with sessions and tasks that trusts every caller, as the MCP SDKs do. `overrides` answers instead
 * of it where it returns a reply.
 */
export function createFakeServer(
  overrides: (call: McpCall) => McpReply | undefined = () => undefined,
): FakeServer {
  const sessions = new Set<string>()
  const reached: string[] = []

  function answer(message: Message, isStream: boolean, headers: Record<string, string> = {}): McpReply {
    const { id, method, params = {} } = message
    const task = { taskId: params.as ?? randomUUID(), status: 'working' }
    const results: Record<string, object> = {
      'tools/call': params.task === undefined ? { content: [] } : { task },
      'tasks/get': { taskId: params.taskId, status: 'working' },
      'tasks/list': { tasks: [task] },
    }
    const response = { jsonrpc: '2.0', id, result: results[method ?? ''] ?? {} }
    if (!isStream) return { headers: { ...headers, ...json }, body: JSON.stringify(response) }
    const parts = async function* () {
      // In parts that are no events, as a network would.
      for (const half of [toEvent(response).slice(0, 40), toEvent(response).slice(40)]) yield half
    }
    return { headers: { ...headers, ...events }, stream: parts() }
  }

  return {
    reached,
    sessions,
    handler(call) {
      const body = (call.body ?? {}) as Message & { stream?: boolean }
      reached.push(body.method === undefined ? call.method : `${call.method} ${body.method}`)
      const own = overrides(call)
      if (own !== undefined) return own
      if (body.method === 'initialize') {
        const id = randomUUID()
        sessions.add(id)
        return answer(body, body.stream === true, { 'mcp-session-id': id })
      }
      const { sessionId } = call
      if (sessionId !== undefined && !sessions.has(sessionId)) return { status: 404 }
      if (call.method === 'DELETE') {
        if (sessionId === undefined || !sessions.delete(sessionId)) return { status: 405 }
        return { status: 200, headers: json, body: '{}' }
      }
      return answer(
        body,
        body.stream === true,
        sessionId === undefined ? {} : { 'mcp-session-id': sessionId },
      )
    },
  }
}

/** An app with the fake server behind middleware, and a way to call it as different agents. */
export async function startFake(
  appName: string,
  middleware: readonly AnyMiddleware[],
  {
    server = createFakeServer(),
    policy = {},
    options = {},
  }: { server?: FakeServer; policy?: Partial<Policy>; options?: VerifierOptions } = {},
) {
  const issuer = createTestIssuer()
  const verifier = createVerifier(
    {
      issuer: issuer.policyIssuer,
      audience: issuer.audience,
      token: { clockTolerance: 0 },
      routes: { '* /mcp': 'authenticated' },
      ...policy,
    },
    options,
  )
  const origin = await mcpApps[appName]?.({ verifier, middleware }, server.handler)

  async function call(
    as: string | Omit<TestCall, 'url'>,
    init: {
      method?: string
      session?: string | undefined
      body?: object
      headers?: [string, string][]
      signal?: AbortSignal
    } = {},
  ): Promise<Response> {
    const { method = init.body === undefined ? 'GET' : 'POST', session, body, headers = [], signal } = init
    const credentials = issuer.headers({
      ...(typeof as === 'string' ? { agent: as } : as),
      method,
      url: '/mcp',
    })
    const fields = Object.entries({ ...credentials, 'content-type': 'application/json' })
    if (session !== undefined) fields.push(['mcp-session-id', session])
    return fetch(`${origin}/mcp`, {
      method,
      headers: [...fields, ...headers],
      ...(body === undefined ? {} : { body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...body }) }),
      ...(signal === undefined ? {} : { signal }),
    })
  }

  return {
    issuer,
    verifier,
    server,
    origin: origin ?? '',
    call,
    /** Begins a session. Resolves to its id. */
    async begin(as: string | Omit<TestCall, 'url'>): Promise<string> {
      const response = await call(as, { body: { method: 'initialize' } })
      await response.text()
      return response.headers.get('mcp-session-id') ?? `none, but ${response.status}`
    },
  }
}

/** Status and code of a response: `403 session_not_yours`. */
export async function verdictOf(response: Response | Promise<Response>): Promise<string> {
  const { status, headers, text } = await Promise.resolve(response).then(async (it) => ({
    status: it.status,
    headers: it.headers,
    text: await it.text(),
  }))
  const body: { code?: string; error?: { code?: number } } =
    text !== '' && headers.get('content-type') === 'application/json' ? JSON.parse(text) : {}
  return [status, body.code ?? body.error?.code].filter((part) => part !== undefined).join(' ')
}
