import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import {
  NodeStreamableHTTPServerTransport as NodeTransport2,
  toNodeHandler,
} from '@modelcontextprotocol/node'
import { McpServer as McpServer1 } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { WebStandardStreamableHTTPServerTransport as WebTransport1 } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js'
import {
  createMcpHandler,
  McpServer as McpServer2,
  WebStandardStreamableHTTPServerTransport as WebTransport2,
} from '@modelcontextprotocol/server'
import { z } from 'zod'
import type {
  AuthInfo,
  McpBackend,
  McpServerKind,
  NodeRequest,
  Seen,
  WebOptions,
} from '../support/mcp/contract.js'

// The tools of the tests: `read` and `refund` of orders, `admin` that nobody may call, and one that the rules
// do not name.

const TOOLS: Record<string, z.ZodRawShape> = {
  read: { order: z.string() },
  refund: { order: z.string(), amount: z.number().default(1000) },
  admin: {},
  unnamed: {},
}

function seen(tool: string, args: unknown, auth: AuthInfo | undefined) {
  const grant = auth?.extra?.ajwt as { agent: { id: string } } | undefined
  const content: Seen = {
    tool,
    args,
    auth:
      auth === undefined
        ? null
        : { clientId: auth.clientId, scopes: auth.scopes, agent: grant?.agent.id ?? '', token: auth.token },
  }
  return { content: [{ type: 'text' as const, text: JSON.stringify(content) }] }
}

function server1(ran: string[]): McpServer1 {
  const server = new McpServer1({ name: 'orders', version: '1.0.0' })
  for (const [name, inputSchema] of Object.entries(TOOLS)) {
    server.registerTool(name, { inputSchema }, (args, extra) => {
      ran.push(name)
      return seen(name, args, extra.authInfo)
    })
  }
  return server
}

function server2(ran: string[]): McpServer2 {
  const server = new McpServer2({ name: 'orders', version: '1.0.0' })
  for (const [name, shape] of Object.entries(TOOLS)) {
    server.registerTool(name, { inputSchema: z.object(shape) }, (args, context) => {
      ran.push(name)
      return seen(name, args, context.http?.authInfo)
    })
  }
  return server
}

/** Transports by session, as the SDKs' examples keep them. */
function sessions<T>(create: (opened: (id: string) => void) => Promise<T>) {
  const open = new Map<string, T>()
  return {
    open,
    async of(id: string | undefined): Promise<T> {
      const found = id === undefined ? undefined : open.get(id)
      if (found !== undefined) return found
      const transport: T = await create((sessionId) => void open.set(sessionId, transport))
      return transport
    },
  }
}

interface WebSessionTransport {
  handleRequest(request: Request, options: WebOptions): Promise<Response>
  close(): Promise<void>
}

interface NodeSessionTransport {
  handleRequest(request: NodeRequest, response: ServerResponse, body: unknown): Promise<void>
  close(): Promise<void>
}

/** Answers each request with the transport of its session, or with a new one. */
function withSessions(
  ran: readonly string[],
  openNode: (opened: (id: string) => void) => Promise<NodeSessionTransport>,
  openWeb: (opened: (id: string) => void) => Promise<WebSessionTransport>,
): McpBackend {
  const node = sessions(openNode)
  const web = sessions(openWeb)
  return {
    ran,
    async node(request, response) {
      const id = request.headers['mcp-session-id']
      const transport = await node.of(typeof id === 'string' ? id : undefined)
      await transport.handleRequest(request, response, request.body)
    },
    async web(request, options) {
      const transport = await web.of(request.headers.get('mcp-session-id') ?? undefined)
      return transport.handleRequest(request, options)
    },
    async close() {
      for (const transport of [...node.open.values(), ...web.open.values()]) await transport.close()
    },
  }
}

/** A server of SDK 1 with sessions. */
export function backend1(create: () => McpServer1, ran: readonly string[] = []): McpBackend {
  return withSessions(
    ran,
    async (onsessioninitialized) => {
      const transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized,
      })
      await create().connect(transport)
      return transport
    },
    async (onsessioninitialized) => {
      const transport = new WebTransport1({ sessionIdGenerator: randomUUID, onsessioninitialized })
      await create().connect(transport)
      return transport
    },
  )
}

export const sdk1: McpServerKind = {
  name: 'SDK 1, sessions',
  sdk: 1,
  era: 'sessions',
  start() {
    const ran: string[] = []
    return backend1(() => server1(ran), ran)
  },
}

export const sdk2: McpServerKind = {
  name: 'SDK 2, sessions',
  sdk: 2,
  era: 'sessions',
  start() {
    const ran: string[] = []
    return withSessions(
      ran,
      async (onsessioninitialized) => {
        const transport = new NodeTransport2({ sessionIdGenerator: randomUUID, onsessioninitialized })
        await server2(ran).connect(transport)
        return transport
      },
      async (onsessioninitialized) => {
        const transport = new WebTransport2({ sessionIdGenerator: randomUUID, onsessioninitialized })
        await server2(ran).connect(transport)
        return transport
      },
    )
  },
}

export const modern: McpServerKind = {
  name: 'SDK 2, 2026-07-28',
  sdk: 2,
  era: 'modern',
  start(): McpBackend {
    const ran: string[] = []
    const handler = createMcpHandler(() => server2(ran))
    const node = toNodeHandler(handler)
    return {
      ran,
      node: (request, response) => node(request, response, request.body),
      web: (request, options) => handler.fetch(request, options),
      close: () => handler.close(),
    }
  },
}
