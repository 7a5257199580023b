import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { agentChecksum, defineAgent, toolsOf } from '../../../src/agent/index.js'

// The real frameworks are in test/integration/agent/frameworks.test.ts. Here: the forms that they have.

const parameters = {
  type: 'object',
  properties: { order: { type: 'string' }, note: { type: 'string', default: 'none' } },
  required: ['order'],
}
const tool = { name: 'read', description: 'Read an order', parameters }
const { name, description } = tool
const zod = z.object({ order: z.string(), note: z.string().default('none') })

describe('toolsOf reads', () => {
  it.each<[string, unknown]>([
    ['the result of listTools of an MCP client', { tools: [{ name, description, inputSchema: parameters }] }],
    [
      'tools of an MCP client',
      [{ name, title: 'Read', description, inputSchema: parameters, annotations: {} }],
    ],
    ['a record of the AI SDK', { read: { description, inputSchema: zod } }],
    ['a schema of the AI SDK', { read: { description, inputSchema: { jsonSchema: parameters } } }],
    [
      'a lazy schema of the AI SDK',
      { read: { description, inputSchema: () => ({ jsonSchema: parameters }) } },
    ],
    [
      'a schema to wait for',
      { read: { description, inputSchema: { jsonSchema: Promise.resolve(parameters) } } },
    ],
    ['LangChain', [{ name, description, schema: zod, metadata: { parameters: 'not a schema' } }]],
    ['OpenAI Agents', [{ type: 'function', name, description, parameters, strict: false }]],
    ['Chat Completions', [{ type: 'function', function: { name, description, parameters } }]],
    ['Mastra', [{ id: name, description, inputSchema: zod }]],
    ['LlamaIndex', [{ metadata: { name, description, parameters }, call() {} }]],
    ['the Anthropic SDK', [{ name, description, input_schema: parameters }]],
    [
      'Google ADK, with types in upper case',
      [
        {
          name,
          description,
          _getDeclaration: () => ({
            name,
            description,
            parameters: {
              type: 'OBJECT',
              properties: { order: { type: 'STRING' }, note: { type: 'STRING', default: 'none' } },
              required: ['order'],
            },
          }),
        },
      ],
    ],
    ['defineAgent', [tool]],
  ])('%s', async (_, objects) => {
    expect(await Reflect.apply(toolsOf, undefined, [objects])).toEqual([tool])
  })

  it('at once where no schema has to be awaited, so that it can be a getter of an agent', async () => {
    const objects = [{ name, description, inputSchema: { ...parameters } }]
    const agent = defineAgent({
      id: 'reader',
      prompt: 'Read.',
      get tools() {
        const tools = toolsOf(objects)
        if (tools instanceof Promise) throw new TypeError('a schema has to be awaited')
        return tools
      },
    })
    const before = await agentChecksum(agent)
    Object.assign(objects[0]?.inputSchema ?? {}, { required: [] })
    expect(await agentChecksum(agent)).not.toBe(before)
  })

  it('a tool without a description, or with an empty one, as a tool without', async () => {
    const bare = { name, parameters }
    expect(await toolsOf([{ name, inputSchema: parameters }])).toEqual([bare])
    expect(await toolsOf([{ name, description: '', inputSchema: parameters }])).toEqual([bare])
    const checksum = await agentChecksum({ id: 'reader', prompt: 'Read.', tools: [bare] })
    expect(checksum).not.toBe(
      await agentChecksum({ id: 'reader', prompt: 'Read.', tools: [{ ...bare, description: '' }] }),
    )
  })

  it.each<[string, unknown, string]>([
    [
      'a hosted tool',
      [{ type: 'hosted_tool', name: 'web_search' }],
      'tool 1 is no tool of a known framework',
    ],
    ['a tool without a name', [{ description, parameters }], 'tool 1 is no tool of a known framework'],
    ['nothing', [null], 'tool 1 is no tool of a known framework'],
    ['a schema that is text', { read: { description, inputSchema: 'object' } }, '"read") has no JSON Schema'],
    [
      'zod 3',
      {
        read: {
          description,
          inputSchema: { _def: { typeName: 'ZodObject' }, '~standard': { vendor: 'zod' } },
        },
      },
      'use zod 4.2 or later',
    ],
    ['no list', 'read', 'needs a list or a record'],
  ])('but refuses %s', (_, objects, message) => {
    expect(() => Reflect.apply(toolsOf, undefined, [objects])).toThrow(message)
  })

  it('in version 1 only', () => {
    expect(() => Reflect.apply(toolsOf, undefined, [[tool], { version: 2 }])).toThrow('has version 1 only')
  })
})

describe('the canonical form of parameters', () => {
  const canonical = async (schema: object) => (await toolsOf([{ name, parameters: schema }]))[0]?.parameters

  it.each<[string, object, object]>([
    [
      'has no $schema',
      { $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object' },
      { type: 'object' },
    ],
    ['has types in lower case', { type: ['OBJECT', 'null'] }, { type: ['object', 'null'] }],
    ['sorts required', { required: ['b', 'a', 'b'] }, { required: ['a', 'b'] }],
    [
      'requires no member that has a default',
      { properties: { a: { default: 1 }, b: {} }, required: ['a', 'b'] },
      { properties: { a: { default: 1 }, b: {} }, required: ['b'] },
    ],
    ['drops additionalProperties: true', { additionalProperties: true }, {}],
    ['drops additionalProperties: {}', { additionalProperties: {} }, {}],
    ['keeps additionalProperties: false', { additionalProperties: false }, { additionalProperties: false }],
    ['drops what says nothing', { properties: {}, required: [], minLength: 0, uniqueItems: false }, {}],
    [
      'keeps other values of the same keywords',
      { minLength: 1, uniqueItems: true },
      { minLength: 1, uniqueItems: true },
    ],
    [
      'reaches nested schemas',
      {
        anyOf: [{ type: 'NULL' }, { items: { type: 'STRING', $schema: 'x' } }],
        $defs: { a: { required: ['b', 'a'] } },
      },
      { anyOf: [{ type: 'null' }, { items: { type: 'string' } }], $defs: { a: { required: ['a', 'b'] } } },
    ],
    [
      'changes no data',
      {
        default: { type: 'A', required: [] },
        enum: [{ $schema: 'x' }],
        const: { type: 'B' },
        examples: [{ type: 'C' }],
      },
      {
        default: { type: 'A', required: [] },
        enum: [{ $schema: 'x' }],
        const: { type: 'B' },
        examples: [{ type: 'C' }],
      },
    ],
    [
      'takes no property for a keyword',
      {
        properties: {
          type: { type: 'string' },
          required: { const: [] },
          $schema: {},
          properties: { const: 1 },
        },
      },
      {
        properties: {
          type: { type: 'string' },
          required: { const: [] },
          $schema: {},
          properties: { const: 1 },
        },
      },
    ],
    [
      'keeps a property named __proto__',
      JSON.parse('{"properties":{"__proto__":{"type":"STRING"},"constructor":{}}}'),
      JSON.parse('{"properties":{"__proto__":{"type":"string"},"constructor":{}}}'),
    ],
    [
      'takes no inherited name for a keyword',
      JSON.parse('{"constructor":1,"toString":[]}'),
      JSON.parse('{"constructor":1,"toString":[]}'),
    ],
  ])('%s', async (_, schema, expected) => {
    expect(JSON.stringify(await canonical(schema))).toBe(JSON.stringify(expected))
  })

  it('is refused for a schema that contains itself', () => {
    const schema: Record<string, unknown> = { type: 'object' }
    schema.properties = { self: schema }
    expect(() => toolsOf([{ name, parameters: schema }])).toThrow('nested deeper than 64 levels')
  })
})
