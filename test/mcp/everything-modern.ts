import { randomBytes } from 'node:crypto'
import { toNodeHandler } from '@modelcontextprotocol/node'
import {
  type CallToolResult,
  createMcpHandler,
  createRequestStateCodec,
  type InputRequest,
  inputRequired,
  McpServer,
  ResourceTemplate,
  type ServerContext,
} from '@modelcontextprotocol/server'
import { z } from 'zod'
import type { McpBackend } from '../support/mcp/contract.js'
import { embedded, FIXED, image, PNG, text } from './everything-content.js'

// The server that the conformance suite expects for the revision 2026-07-28.

const codec = createRequestStateCodec<string>({ key: randomBytes(32) })

const answer = (value: string): CallToolResult => ({ content: [text(value)] })
const form = (member: string, schema: { type: 'string' } | { type: 'boolean' } = { type: 'string' }) =>
  inputRequired.elicit({
    message: member,
    requestedSchema: { type: 'object', properties: { [member]: schema }, required: [member] },
  })
const sample = (question: string) =>
  inputRequired.createMessage({ messages: [{ role: 'user', content: text(question) }], maxTokens: 50 })

interface Question {
  readonly ask: Readonly<Record<string, InputRequest>>
  /** Text of the answer, once every request is answered. */
  readonly reply: string
  /** Demands its own state back. */
  readonly withState?: true
}

/** Tools that ask once, and answer with a fixed text. */
const QUESTIONS: Readonly<Record<string, Question>> = {
  elicitation: { ask: { user_name: form('name') }, reply: 'Hello, Alice!' },
  sampling: {
    ask: { sample_request: sample('What is the capital of France?') },
    reply: 'Sampling result: Paris',
  },
  list_roots: { ask: { roots_request: inputRequired.listRoots() }, reply: 'Found 1 root(s)' },
  request_state: { ask: { confirm: form('ok', { type: 'boolean' }) }, reply: 'state-ok', withState: true },
  tampered_state: {
    ask: { confirm: form('ok', { type: 'boolean' }) },
    reply: 'integrity-ok',
    withState: true,
  },
  multiple_inputs: {
    ask: { user_name: form('name'), greeting: sample('Greet'), client_roots: inputRequired.listRoots() },
    reply: 'Name, greeting and roots',
    withState: true,
  },
}

async function askOrReply({ ask, reply, withState }: Question, { mcpReq }: ServerContext) {
  const { inputResponses = {} } = mcpReq
  const isAnswered = Object.keys(ask).every((key) => key in inputResponses)
  if (isAnswered && (withState === undefined || mcpReq.requestState() === reply)) return answer(reply)
  return inputRequired({ inputRequests: ask, ...(withState && { requestState: await codec.mint(reply) }) })
}

function addQuestions(server: McpServer): void {
  const name = (short: string) => `test_input_required_result_${short}`
  for (const [short, question] of Object.entries(QUESTIONS))
    server.registerTool(name(short), { description: short }, (context) => askOrReply(question, context))

  server.registerTool(name('multi_round'), { description: 'Two rounds' }, async ({ mcpReq }) => {
    const responses = mcpReq.inputResponses ?? {}
    const round = mcpReq.requestState()
    if (round === 'two' && 'step2' in responses) return answer('Multi-round complete')
    const isSecond = round === 'one' && 'step1' in responses
    return inputRequired({
      inputRequests: isSecond ? { step2: form('color') } : { step1: form('name') },
      requestState: await codec.mint(isSecond ? 'two' : 'one'),
    })
  })

  server.registerTool(name('capabilities'), { description: 'Asks what the client can' }, ({ mcpReq }) => {
    const keys = Object.keys(mcpReq.inputResponses ?? {})
    if (keys.length > 0) return answer(`capabilities-ok: received ${keys}`)
    const can = server.server.getClientCapabilities() ?? {}
    const inputRequests = {
      ...(can.elicitation && { elicit_input: form('value') }),
      ...(can.sampling && { sample_input: sample('Sample') }),
    }
    return Object.keys(inputRequests).length === 0
      ? answer('No capabilities')
      : inputRequired({ inputRequests })
  })

  server.registerPrompt(name('prompt'), { description: 'Asks for its context' }, ({ mcpReq }) => {
    if (mcpReq.inputResponses?.user_context === undefined)
      return inputRequired({ inputRequests: { user_context: form('context') } })
    return { messages: [{ role: 'user' as const, content: text('With context') }] }
  })
}

function addTools(server: McpServer, changed: { tools(): void; prompts(): void }): void {
  for (const [name, content] of Object.entries(FIXED))
    server.registerTool(name, { description: name }, () => ({ content }))
  server.registerTool('test_error_handling', { description: 'Fails' }, () => {
    throw new Error('This tool intentionally returns an error for testing')
  })
  server.registerTool('test_tool_with_progress', { description: 'Reports' }, async ({ mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken ?? 0
    for (const progress of [0, 50, 100]) {
      const params = { progressToken, progress, total: 100 }
      await mcpReq.notify({ method: 'notifications/progress', params })
    }
    return answer(String(progressToken))
  })
  server.registerTool('test_missing_capability', { description: 'Needs sampling' }, ({ mcpReq }) =>
    mcpReq.inputResponses === undefined
      ? inputRequired({ inputRequests: { one: sample('One') } })
      : answer('Sampled'),
  )
  server.registerTool('test_logging_tool', { description: 'Logs' }, async ({ mcpReq }) => {
    await mcpReq.log('info', 'Logged')
    return answer('Logged')
  })
  server.registerTool('test_streaming_elicitation', { description: 'Streams' }, async ({ mcpReq }) => {
    const params = { progressToken: mcpReq._meta?.progressToken ?? 0, progress: 50, total: 100 }
    await mcpReq.notify({ method: 'notifications/progress', params })
    return answer('Streamed')
  })
  for (const kind of ['tools', 'prompts'] as const)
    server.registerTool(
      `test_trigger_${kind.slice(0, -1)}_change`,
      { description: `Changes ${kind}` },
      () => {
        changed[kind]()
        return answer('Changed')
      },
    )
}

function addPrompts(server: McpServer): void {
  const from = (...content: (typeof image | ReturnType<typeof text> | ReturnType<typeof embedded>)[]) => ({
    messages: content.map((part) => ({ role: 'user' as const, content: part })),
  })
  server.registerPrompt('test_simple_prompt', { description: 'Text' }, () => from(text('A prompt.')))
  server.registerPrompt('test_prompt_with_image', { description: 'An image' }, () =>
    from(image, text('Describe.')),
  )
  const two = z.object({ arg1: z.string(), arg2: z.string() })
  server.registerPrompt(
    'test_prompt_with_arguments',
    { description: 'Two', argsSchema: two },
    ({ arg1, arg2 }) => from(text(`arg1='${arg1}', arg2='${arg2}'`)),
  )
  const uri = z.object({ resourceUri: z.string() })
  server.registerPrompt(
    'test_prompt_with_embedded_resource',
    { description: 'A resource', argsSchema: uri },
    ({ resourceUri }) => from(embedded(resourceUri, 'text/plain', 'Embedded text.'), text('Read it.')),
  )
}

function addResources(server: McpServer): void {
  for (const name of ['static-text', 'watched-resource'])
    server.registerResource(name, `test://${name}`, { mimeType: 'text/plain' }, (uri) => ({
      contents: [{ uri: uri.href, mimeType: 'text/plain', text: name }],
    }))
  server.registerResource('static-binary', 'test://static-binary', { mimeType: 'image/png' }, (uri) => ({
    contents: [{ uri: uri.href, mimeType: 'image/png', blob: PNG }],
  }))
  const template = new ResourceTemplate('test://template/{id}/data', { list: undefined })
  server.registerResource('template', template, { mimeType: 'application/json' }, (uri, { id }) => ({
    contents: [
      { uri: uri.href, mimeType: 'application/json', text: JSON.stringify({ id, data: `Data for ${id}` }) },
    ],
  }))
}

export function startEverythingModern(): McpBackend {
  const handler = createMcpHandler(() => {
    const listChanged = true
    const capabilities = {
      ...{ tools: { listChanged }, prompts: { listChanged }, resources: {}, logging: {}, completions: {} },
    }
    const server = new McpServer(
      { name: 'everything', version: '1.0.0' },
      { capabilities, requestState: { verify: codec.verify } },
    )
    addTools(server, {
      tools: () => handler.notify.toolsChanged(),
      prompts: () => handler.notify.promptsChanged(),
    })
    addQuestions(server)
    addPrompts(server)
    addResources(server)
    server.server.setRequestHandler('completion/complete', () => ({
      completion: { values: [], total: 0, hasMore: false },
    }))
    return server
  })
  const node = toNodeHandler(handler)
  return {
    ran: [],
    node: (request, response) => node(request, response, request.body),
    web: (request, options) => handler.fetch(request, options),
    close: () => handler.close(),
  }
}
