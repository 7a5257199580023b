import { setTimeout as wait } from 'node:timers/promises'
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js'
import {
  CompleteRequestSchema,
  type ElicitRequestFormParams,
  SetLevelRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { z } from 'zod'
import { embedded, FIXED, image, PNG, text } from './everything-content.js'
import { backend1 } from './servers.js'

// The server that the conformance suite expects: tools, prompts and resources by the names in its scenarios.

type Elicitation = ElicitRequestFormParams['requestedSchema']

/** Tools that ask the user to fill in a form. */
const FORMS: Record<string, Elicitation> = {
  test_elicitation: {
    type: 'object',
    properties: { response: { type: 'string', description: 'The answer' } },
    required: ['response'],
  },
  test_elicitation_sep1034_defaults: {
    type: 'object',
    properties: {
      name: { type: 'string', default: 'John Doe' },
      age: { type: 'integer', default: 30 },
      score: { type: 'number', default: 95.5 },
      status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
      verified: { type: 'boolean', default: true },
    },
  },
  test_elicitation_sep1330_enums: {
    type: 'object',
    properties: {
      untitledSingle: { type: 'string', enum: ['option1', 'option2', 'option3'] },
      titledSingle: {
        type: 'string',
        oneOf: [
          { const: 'value1', title: 'First' },
          { const: 'value2', title: 'Second' },
        ],
      },
      legacyEnum: { type: 'string', enum: ['opt1', 'opt2'], enumNames: ['One', 'Two'] },
      untitledMulti: { type: 'array', items: { type: 'string', enum: ['option1', 'option2'] } },
      titledMulti: {
        type: 'array',
        items: {
          anyOf: [
            { const: 'value1', title: 'First' },
            { const: 'value2', title: 'Second' },
          ],
        },
      },
    },
  },
}

function addTools(server: McpServer): void {
  for (const [name, content] of Object.entries(FIXED))
    server.registerTool(name, { description: name }, () => ({ content }))

  for (const [name, requestedSchema] of Object.entries(FORMS)) {
    const inputSchema: z.ZodRawShape = { message: z.string().default('Please fill in the form.') }
    server.registerTool(name, { description: name, inputSchema }, async ({ message }) => {
      const result = await server.server.elicitInput({ message: String(message), requestedSchema })
      return {
        content: [text(`User response: action=${result.action}, content=${JSON.stringify(result.content)}`)],
      }
    })
  }

  server.registerTool('test_error_handling', { description: 'Fails' }, () => {
    throw new Error('This tool intentionally returns an error for testing')
  })

  server.registerTool(
    'test_tool_with_logging',
    { description: 'Logs', inputSchema: {} },
    async (_, extra) => {
      for (const data of ['started', 'processing', 'completed']) {
        await extra.sendNotification({ method: 'notifications/message', params: { level: 'info', data } })
        await wait(5)
      }
      return { content: [text('Logged.')] }
    },
  )

  server.registerTool(
    'test_tool_with_progress',
    { description: 'Reports', inputSchema: {} },
    async (_, extra) => {
      const progressToken = extra._meta?.progressToken ?? 0
      for (const progress of [0, 50, 100]) {
        await extra.sendNotification({
          method: 'notifications/progress',
          params: { progressToken, progress, total: 100 },
        })
        await wait(5)
      }
      return { content: [text(String(progressToken))] }
    },
  )

  const prompt: z.ZodRawShape = { prompt: z.string() }
  server.registerTool('test_sampling', { description: 'Samples', inputSchema: prompt }, async (args) => {
    const messages = [{ role: 'user' as const, content: text(String(args.prompt)) }]
    const { content } = await server.server.createMessage({ messages, maxTokens: 100 })
    return { content: [text(`LLM response: ${content.type === 'text' ? content.text : ''}`)] }
  })
}

function addPrompts(server: McpServer): void {
  const from = (...content: (typeof image | ReturnType<typeof text> | ReturnType<typeof embedded>)[]) => ({
    messages: content.map((part) => ({ role: 'user' as const, content: part })),
  })
  server.registerPrompt('test_simple_prompt', { description: 'Text' }, () => from(text('A simple prompt.')))
  server.registerPrompt('test_prompt_with_image', { description: 'An image' }, () =>
    from(image, text('Describe the image.')),
  )
  server.registerPrompt(
    'test_prompt_with_arguments',
    { description: 'Two arguments', argsSchema: { arg1: z.string(), arg2: z.string() } },
    ({ arg1, arg2 }) => from(text(`arg1='${arg1}', arg2='${arg2}'`)),
  )
  server.registerPrompt(
    'test_prompt_with_embedded_resource',
    { description: 'A resource', argsSchema: { resourceUri: z.string() } },
    ({ resourceUri }) => from(embedded(resourceUri, 'text/plain', 'Embedded text.'), text('Read it.')),
  )
}

function addResources(server: McpServer): void {
  const plain = (name: string) =>
    server.registerResource(name, `test://${name}`, { mimeType: 'text/plain' }, (uri) => ({
      contents: [{ uri: uri.href, mimeType: 'text/plain', text: name }],
    }))
  plain('static-text')
  plain('watched-resource')
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

function createServer(): McpServer {
  const capabilities = {
    tools: {},
    prompts: {},
    resources: { subscribe: true },
    logging: {},
    completions: {},
  }
  const server = new McpServer({ name: 'everything', version: '1.0.0' }, { capabilities })
  addTools(server)
  addPrompts(server)
  addResources(server)
  const empty = () => ({})
  server.server.setRequestHandler(SetLevelRequestSchema, empty)
  server.server.setRequestHandler(SubscribeRequestSchema, empty)
  server.server.setRequestHandler(UnsubscribeRequestSchema, empty)
  server.server.setRequestHandler(CompleteRequestSchema, () => ({
    completion: { values: [], total: 0, hasMore: false },
  }))
  return server
}

export const startEverything = () => backend1(createServer)
