import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createMCPClient } from '@ai-sdk/mcp'
import Anthropic from '@anthropic-ai/sdk'
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod'
import type { BetaRunnableTool } from '@anthropic-ai/sdk/lib/tools/BetaRunnableTool'
import { AIMessage } from '@langchain/core/messages'
import { tool as langChainTool } from '@langchain/core/tools'
import { ToolNode } from '@langchain/langgraph/prebuilt'
import { loadMcpTools } from '@langchain/mcp-adapters'
import { callTool } from '@llamaindex/core/agent'
import { createTool } from '@mastra/core/tools'
import { MCPClient } from '@mastra/mcp'
import {
  Client as Client2,
  type OAuthClientProvider,
  StreamableHTTPClientTransport as Transport2,
} from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { Agent, MCPServerStreamableHttp, type Model, tool as openAiTool, Runner } from '@openai/agents'
import { tool as aiTool, generateText, isStepCount, type ToolSet } from 'ai'
import { MockLanguageModelV4 } from 'ai/test'
import { tool as llamaTool } from 'llamaindex'
import { z } from 'zod'
import type { AgentClient, McpFetch } from '../../src/agent/index.js'

/** The parts of the tools of every framework. */
export interface Surroundings {
  mcpUrl: string
  mcpFetch: McpFetch
  /** For hosts that take a provider: its tokens only read. */
  oauthProvider: AgentClient['oauthProvider']
  /** The function of the tool: a protected call. Throws AjwtDeniedError. */
  execute(input: { order: string }): Promise<string>
}

/** A call that a model asks for. */
export interface ModelCall {
  name: string
  args: { order: string }
}

/** A framework with its tools. */
export interface Framework {
  /** For `toolsOf`. */
  tools: object
  /** Has the framework run a call of its model. Returns what the model is shown. */
  call(call: ModelCall): Promise<string>
  close?(): Promise<unknown>
}

const name = 'read'
const description = 'Read an order'
const schema = z.object({ order: z.string().describe('Its number'), note: z.string().default('none') })

/** Without it, the model is told nothing but that an error occurred. */
const errorFunction = (_: unknown, error: unknown) => String(error)

/** The input of a model: everything after its call. */
const shown = (value: unknown) => JSON.stringify(value)

async function runAiSdk(tools: ToolSet, { name, args }: ModelCall): Promise<string> {
  const usage = {
    inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 1, text: 1, reasoning: 0 },
  }
  let turn = 0
  const model = new MockLanguageModelV4({
    doGenerate: async () => {
      turn += 1
      return turn === 1
        ? {
            content: [{ type: 'tool-call', toolCallId: '1', toolName: name, input: JSON.stringify(args) }],
            finishReason: { unified: 'tool-calls', raw: undefined },
            usage,
            warnings: [],
          }
        : {
            content: [{ type: 'text', text: 'done' }],
            finishReason: { unified: 'stop', raw: undefined },
            usage,
            warnings: [],
          }
    },
  })
  await generateText({ model, tools, prompt: 'Read it', stopWhen: isStepCount(2) })
  return shown(model.doGenerateCalls[1]?.prompt.filter(({ role }) => role === 'tool'))
}

async function runOpenAi(
  agent: { tools?: ReturnType<typeof openAiTool>[]; mcpServers?: MCPServerStreamableHttp[] },
  call: ModelCall,
) {
  const inputs: unknown[] = []
  const model: Model = {
    async getResponse({ input }) {
      inputs.push(input)
      const output =
        inputs.length === 1
          ? {
              type: 'function_call' as const,
              callId: '1',
              name: call.name,
              arguments: JSON.stringify(call.args),
              status: 'completed' as const,
            }
          : {
              type: 'message' as const,
              role: 'assistant' as const,
              status: 'completed' as const,
              content: [{ type: 'output_text' as const, text: 'done' }],
            }
      return {
        output: [output],
        usage: { inputTokens: 1, outputTokens: 1, totalTokens: 2, requests: 1, add: () => {} } as never,
      }
    },
    async *getStreamedResponse() {},
  }
  await new Runner({ tracingDisabled: true, modelProvider: { getModel: () => model } }).run(
    new Agent({ name: 'reader', instructions: 'Read orders.', ...agent }),
    'Read it',
  )
  const last = inputs[1]
  return shown(Array.isArray(last) ? last.filter(({ type }) => type === 'function_call_result') : last)
}

async function runLangChain(tools: ConstructorParameters<typeof ToolNode>[0], { name, args }: ModelCall) {
  const node = new ToolNode(tools, { handleToolErrors: true })
  const message = new AIMessage({ content: '', tool_calls: [{ id: '1', name, args, type: 'tool_call' }] })
  const { messages } = await node.invoke({ messages: [message] })
  return shown(messages.map(({ content }: { content: unknown }) => content))
}

/** The API of Anthropic, as far as the SDK needs it: a first answer that calls the tool, and a last one. */
async function runAnthropic(tool: BetaRunnableTool, { name, args }: ModelCall): Promise<string> {
  const bodies: { messages: { content: unknown }[] }[] = []
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const part of request.setEncoding('utf8')) text += part
    bodies.push(JSON.parse(text))
    const content =
      bodies.length === 1
        ? [{ type: 'tool_use', id: '1', name, input: args }]
        : [{ type: 'text', text: 'done' }]
    response.setHeader('content-type', 'application/json').end(
      JSON.stringify({
        id: 'm',
        type: 'message',
        role: 'assistant',
        model: 'm',
        content,
        stop_reason: bodies.length === 1 ? 'tool_use' : 'end_turn',
        usage: { input_tokens: 1, output_tokens: 1 },
      }),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const anthropic = new Anthropic({ apiKey: 'none', baseURL: `http://127.0.0.1:${port}` })
  await anthropic.beta.messages.toolRunner({
    model: 'm',
    max_tokens: 10,
    messages: [{ role: 'user', content: 'Read it' }],
    tools: [tool],
  })
  server.close()
  server.closeAllConnections()
  return shown(bodies[1]?.messages.at(-1)?.content)
}

async function connectSdk1({ mcpUrl, mcpFetch }: Surroundings): Promise<Client> {
  const client = new Client({ name: 'tests', version: '1.0.0' })
  await client.connect(new StreamableHTTPClientTransport(new URL(mcpUrl), { fetch: mcpFetch }))
  return client
}

/** Frameworks whose tool is a function of the application. */
export const local: Record<string, (surroundings: Surroundings) => Framework> = {
  ai: ({ execute }) => {
    const tools = { read: aiTool({ description, inputSchema: schema, execute }) }
    return { tools, call: (call) => runAiSdk(tools, call) }
  },
  '@langchain/core': ({ execute }) => {
    const tools = [langChainTool(execute, { name, description, schema })]
    return { tools, call: (call) => runLangChain(tools, call) }
  },
  '@openai/agents, strict': ({ execute }) => {
    const tools = [openAiTool({ name, description, parameters: schema, execute, errorFunction })]
    return { tools, call: (call) => runOpenAi({ tools }, call) }
  },
  '@openai/agents': ({ execute }) => {
    const parameters = {
      type: 'object' as const,
      properties: {
        order: { type: 'string', description: 'Its number' },
        note: { type: 'string', default: 'none' },
      },
      required: ['order'],
      additionalProperties: true as const,
    }
    const tools = [
      openAiTool({
        name,
        description,
        strict: false,
        parameters,
        errorFunction,
        execute: (input) => execute(schema.parse(input)),
      }),
    ]
    return { tools, call: (call) => runOpenAi({ tools }, call) }
  },
  '@mastra/core': ({ execute }) => {
    const read = createTool({ id: name, description, inputSchema: schema, execute })
    return {
      tools: { read },
      call: async ({ args }) => shown(await settled(read.execute?.(args as never, {} as never))),
    }
  },
  '@anthropic-ai/sdk': ({ execute }) => {
    const tool = betaZodTool({ name, description, inputSchema: schema, run: execute })
    return { tools: [tool], call: (call) => runAnthropic(tool, call) }
  },
  llamaindex: ({ execute }) => {
    const tool = llamaTool({
      name,
      description,
      parameters: schema,
      execute: (input: { order: string }) => execute(input),
    })
    const silent = { log() {}, error() {}, warn() {} }
    return {
      tools: [tool],
      call: async ({ args }) => shown(await callTool(tool, { id: '1', name, input: args }, silent)),
    }
  },
}

/** Frameworks whose tools are those of an MCP server. */
export const mcp: Record<string, (surroundings: Surroundings) => Promise<Framework>> = {
  '@ai-sdk/mcp': async ({ mcpUrl, mcpFetch }) => {
    const client = await createMCPClient({
      transport: { type: 'http', url: mcpUrl, fetch: mcpFetch },
    })
    const tools = await client.tools()
    return { tools, call: (call) => runAiSdk(tools, call), close: () => client.close() }
  },
  '@langchain/mcp-adapters': async (surroundings) => {
    const client = await connectSdk1(surroundings)
    const tools = await loadMcpTools('orders', client)
    return { tools, call: (call) => runLangChain(tools, call), close: () => client.close() }
  },
  '@openai/agents': async ({ mcpUrl, mcpFetch }) => {
    const server = new MCPServerStreamableHttp({ url: mcpUrl, name: 'orders', fetch: mcpFetch })
    await server.connect()
    return {
      tools: await server.listTools(),
      call: (call) => runOpenAi({ mcpServers: [server] }, call),
      close: () => server.close(),
    }
  },
  '@mastra/mcp': async ({ mcpUrl, mcpFetch }) => {
    const client = new MCPClient({
      servers: { orders: { url: new URL(mcpUrl), fetch: (url, init) => mcpFetch(url, init) } },
    })
    const { orders = {} } = await client.listToolsets()
    return {
      tools: orders,
      call: async ({ name, args }) =>
        shown(await settled(orders[name]?.execute?.(args as never, {} as never))),
      close: () => client.disconnect(),
    }
  },
  '@modelcontextprotocol/sdk': async (surroundings) => {
    const client = await connectSdk1(surroundings)
    const tools = await client.listTools()
    return {
      tools,
      call: async ({ name, args }) => shown(await settled(client.callTool({ name, arguments: args }))),
      close: () => client.close(),
    }
  },
  '@modelcontextprotocol/client, oauthProvider': async ({ mcpUrl, oauthProvider }) => {
    const client = new Client2({ name: 'tests', version: '1.0.0' })
    const resource = new URL(mcpUrl).origin
    const authProvider = oauthProvider<OAuthClientProvider>({ resource, scope: 'orders:read' })
    await client.connect(new Transport2(new URL(mcpUrl), { authProvider }))
    return {
      tools: await client.listTools(),
      call: async ({ name, args }) => shown(await settled(client.callTool({ name, arguments: args }))),
      close: () => client.close(),
    }
  },
}

/** A framework shows its model the message of an error that a tool throws. */
async function settled(work: unknown): Promise<unknown> {
  try {
    return await work
  } catch (error) {
    return { error: error instanceof Error ? error.message : error }
  }
}
