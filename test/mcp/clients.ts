import { auth as authAi1, createMCPClient as createClientAi1 } from '@ai-sdk/mcp'
import {
  auth as auth2,
  Client as Client2,
  StreamableHTTPClientTransport as Transport2,
} from '@modelcontextprotocol/client'
import { auth as auth1 } from '@modelcontextprotocol/sdk/client/auth.js'
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { MCPServerStreamableHttp } from '@openai/agents-core'
import { auth as authAi2, createMCPClient as createClientAi2 } from 'ai-sdk-mcp-2'
import type { Called, ConnectOptions, McpClientKind, McpConnection } from '../support/mcp/contract.js'
import { UNLISTED } from '../support/mcp/contract.js'
import { type Account, createProvider } from './provider.js'

const info = { name: 'tests', version: '1.0.0' }

/** A connected client of one library. */
interface Raw {
  readonly sessionId?: () => string | undefined
  listTools(): Promise<string[]>
  callTool(name: string, args: Record<string, unknown>): Promise<unknown>
  close(): Promise<void>
}

interface Library {
  /** Connects once. Throws where the server demands authorization. */
  open(url: string, account: Account): Promise<Raw>
  /** Redeems the code of a redirect with the library's own code. */
  redeem(url: string, account: Account, redirect: URLSearchParams): Promise<unknown>
}

/** `connect` for a library: once more after the first redirect, as an application does. */
function connectWith(library: Library) {
  return async (options: ConnectOptions): Promise<McpConnection> => {
    const { url } = options
    const account = createProvider(options)

    /** Runs `action`; after a redirect of the client, has the person log in, and runs it again. */
    async function authorized<T>(action: () => Promise<T>): Promise<T> {
      try {
        return await action()
      } catch (error) {
        if (!account.isRedirecting) throw error
        await library.redeem(url, account, await account.answerRedirect())
        return action()
      }
    }

    const raw = await authorized(() => library.open(url, account))
    return {
      get clientId() {
        return account.clientId
      },
      get token() {
        return account.token
      },
      requestedScopes: account.requestedScopes,
      get sessionId() {
        return raw.sessionId?.()
      },
      listTools: () => authorized(() => raw.listTools()),
      async call(name, args) {
        try {
          return resultOf(await authorized(() => raw.callTool(name, args)))
        } catch (error) {
          return failureOf(error)
        }
      },
      close: () => raw.close(),
    }
  }
}

function resultOf(result: unknown): Called {
  const { content, isError, _meta } = result as {
    content: { text: string }[]
    isError?: boolean
    _meta?: unknown
  }
  return { kind: 'result', text: content[0]?.text ?? '', isError: isError === true, meta: _meta }
}

/**
 * Every library has errors of its own: a JSON-RPC code below zero, an HTTP status, or one of them as the
 * cause.
 */
function failureOf(error: unknown): Called {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code, status, statusCode, message } = at as Error &
      Record<'code' | 'status' | 'statusCode', unknown>
    const http = [status, statusCode, code].find((value) => typeof value === 'number' && value >= 400)
    if (typeof http === 'number') return { kind: 'http', status: http, message }
    if (typeof code === 'number') return { kind: 'error', code, message }
  }
  throw error
}

const sdk1: Library = {
  async open(url, { provider }) {
    const client = new Client1(info)
    const transport = new Transport1(new URL(url), { authProvider: provider })
    await client.connect(transport)
    return {
      sessionId: () => transport.sessionId,
      listTools: async () => (await client.listTools()).tools.map(({ name }) => name),
      callTool: (name, args) => client.callTool({ name, arguments: args }),
      close: () => client.close(),
    }
  },
  redeem: (serverUrl, { provider }, redirect) =>
    auth1(provider, { serverUrl, authorizationCode: redirect.get('code') ?? '' }),
}

function sdk2(mode: 'auto' | 'legacy'): Library {
  return {
    async open(url, { provider }) {
      const client = new Client2(info, { versionNegotiation: { mode } })
      const transport = new Transport2(new URL(url), { authProvider: provider })
      await client.connect(transport)
      return {
        sessionId: () => transport.sessionId,
        listTools: async () => (await client.listTools()).tools.map(({ name }) => name),
        callTool: (name, args) => client.callTool({ name, arguments: args }),
        close: () => client.close(),
      }
    },
    redeem: redeem2,
  }
}

function redeem2(serverUrl: string, { provider }: Account, redirect: URLSearchParams) {
  const iss = redirect.get('iss') ?? undefined
  return auth2(provider, { serverUrl, authorizationCode: redirect.get('code') ?? '', iss })
}

const nothing = () => {}
/** The first 401 is no error of these tests. */
const silent = {
  namespace: 'tests',
  debug: nothing,
  warn: nothing,
  error: nothing,
  dontLogModelData: true,
  dontLogToolData: true,
}

const openAiAgents: Library = {
  async open(url, { provider }) {
    const server = new MCPServerStreamableHttp({ url, authProvider: provider, logger: silent })
    await server.connect()
    return {
      sessionId: () => server.sessionId,
      listTools: async () => (await server.listTools()).map(({ name }) => name),
      callTool: (name, args) => server.callToolResult(name, args),
      close: () => server.close(),
    }
  },
  redeem: redeem2,
}

/** The common part of both major versions of the AI SDK. */
interface AiSdkClient {
  tools(): Promise<Record<string, { execute(args: unknown, options: object): unknown }>>
  listTools(): Promise<{ tools: { name: string }[] }>
  close(): Promise<void>
}

interface AiSdkTransport {
  type: 'http'
  url: string
  authProvider: Account['provider']
}

function aiSdk(
  create: (config: { transport: AiSdkTransport }) => Promise<AiSdkClient>,
  auth: typeof authAi1 | typeof authAi2,
): Library {
  return {
    async open(url, { provider }) {
      const client = await create({ transport: { type: 'http', url, authProvider: provider } })
      const tools = await client.tools()
      return {
        listTools: async () => (await client.listTools()).tools.map(({ name }) => name),
        async callTool(name, args) {
          const tool = tools[name]
          // A model of the AI SDK can only call a tool that the server has listed.
          if (tool === undefined) throw Object.assign(new Error('not listed'), { code: UNLISTED })
          return tool.execute(args, { toolCallId: '1', messages: [] })
        },
        close: () => client.close(),
      }
    },
    redeem: (serverUrl, { provider }, redirect) =>
      auth(provider, {
        serverUrl,
        authorizationCode: redirect.get('code') ?? '',
        callbackState: redirect.get('state') ?? undefined,
      }),
  }
}

export const clients: readonly McpClientKind[] = [
  { name: 'SDK 1', dpop: false, stepUp: true, modern: false, connect: connectWith(sdk1) },
  { name: 'SDK 2', dpop: true, stepUp: true, modern: true, connect: connectWith(sdk2('auto')) },
  {
    name: 'SDK 2, 2025-11-25',
    dpop: true,
    stepUp: true,
    modern: false,
    connect: connectWith(sdk2('legacy')),
  },
  { name: 'OpenAI Agents', dpop: true, stepUp: true, modern: true, connect: connectWith(openAiAgents) },
  {
    name: 'AI SDK 6',
    dpop: false,
    stepUp: false,
    modern: false,
    connect: connectWith(aiSdk(createClientAi1, authAi1)),
  },
  {
    name: 'AI SDK 7',
    dpop: false,
    stepUp: false,
    modern: false,
    connect: connectWith(aiSdk(createClientAi2, authAi2)),
  },
]
