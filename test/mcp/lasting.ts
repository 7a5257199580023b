import { randomUUID } from 'node:crypto'
import { toNodeHandler } from '@modelcontextprotocol/node'
import { InMemoryEventStore } from '@modelcontextprotocol/sdk/examples/shared/inMemoryEventStore.js'
import { InMemoryTaskStore } from '@modelcontextprotocol/sdk/experimental/tasks/stores/in-memory.js'
import { McpServer as McpServer1 } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { createMcpHandler, McpServer as McpServer2 } from '@modelcontextprotocol/server'
import type { LastingBackend, McpBackend, NodeRequest } from '../support/mcp/contract.js'

// State that lasts longer than a request: streams that can be resumed, slow tools, tasks.

const done = { content: [{ type: 'text' as const, text: 'done' }] }
const never = new Promise<typeof done>(() => {})

/** SDK 1 with sessions, each with an event store of its own, as the example of the SDK has it. */
export function startResumable(): McpBackend {
  const transports = new Map<string, StreamableHTTPServerTransport>()
  const ran: string[] = []

  async function open(): Promise<StreamableHTTPServerTransport> {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void transports.set(id, transport),
      onsessionclosed: (id) => void transports.delete(id),
      eventStore: new InMemoryEventStore(),
    })
    const server = new McpServer1({ name: 'lasting', version: '1.0.0' }, { capabilities: { logging: {} } })
    server.registerTool('wait', {}, async () => {
      ran.push('wait')
      await server.sendLoggingMessage({ level: 'info', data: 'for the owner alone' })
      return never
    })
    await server.connect(transport)
    return transport
  }

  return {
    ran,
    async node(request, response) {
      const id = request.headers['mcp-session-id']
      const transport = (typeof id === 'string' ? transports.get(id) : undefined) ?? (await open())
      await transport.handleRequest(request, response, request.body)
    },
    web: () => Promise.reject(new Error('for Node alone')),
    async close() {
      for (const transport of transports.values()) await transport.close()
    },
  }
}

/** SDK 1 without sessions: its task store has nothing to tell callers apart by. */
export function startTasks(): McpBackend {
  const taskStore = new InMemoryTaskStore()
  return {
    ran: [],
    async node(request: NodeRequest, response) {
      const capabilities = { tasks: { requests: { tools: { call: {} } }, list: {}, cancel: {} } }
      const server = new McpServer1({ name: 'tasks', version: '1.0.0' }, { capabilities, taskStore })
      server.experimental.tasks.registerToolTask(
        'job',
        { execution: { taskSupport: 'required' } },
        {
          createTask: async ({ taskStore: store }) => ({ task: await store.createTask({ ttl: 60_000 }) }),
          getTask: async ({ taskStore: store, taskId }) => store.getTask(taskId),
          getTaskResult: async () => done,
        },
      )
      const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined })
      await server.connect(transport)
      await transport.handleRequest(request, response, request.body)
    },
    web: () => Promise.reject(new Error('for Node alone')),
    async close() {},
  }
}

/** SDK 2 in the era without sessions. Tells how many of its tools still wait. */
export function startModernLasting(): LastingBackend {
  let waiting = 0
  const handler = createMcpHandler(() => {
    const server = new McpServer2({ name: 'lasting', version: '1.0.0' })
    server.registerTool('wait', {}, async ({ mcpReq }) => {
      waiting += 1
      const progressToken = mcpReq._meta?.progressToken ?? 0
      await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress: 1 } })
      await new Promise<void>((resolve) => mcpReq.signal.addEventListener('abort', () => resolve()))
      waiting -= 1
      return done
    })
    return server
  })
  const node = toNodeHandler(handler)
  return {
    ran: [],
    waiting: () => waiting,
    node: (request, response) => node(request, response, request.body),
    web: (request, options) => handler.fetch(request, options),
    close: () => handler.close(),
  }
}
