import type { AgentTool } from '../definition.js'
import { canonicalSchema, isObject } from './canonical-schema.js'

/** Tools of a framework: a list, a record by name, or the result of `listTools` of an MCP client. */
export type ToolObjects =
  | readonly object[]
  | Readonly<Record<string, object>>
  | { readonly tools: readonly object[] }

export interface ToolsOptions {
  /** The version of the canonical form. A later version gives other checksums. Default 1. */
  version?: 1
}

/**
 * The tools of a framework, for `defineAgent`, with parameters in canonical form: one tool has the same
 * checksum in each framework that passes its schema on. Reads the MCP SDK, AI SDK, LangChain, OpenAI Agents,
 * Mastra, LlamaIndex, the Anthropic SDK, Google ADK, and the format of the OpenAI API.
 *
 * @returns a promise if a schema has to be awaited
 * @throws TypeError naming the tool that cannot be read
 */
export function toolsOf(
  objects: ToolObjects,
  { version = 1 }: ToolsOptions = {},
): AgentTool[] | Promise<AgentTool[]> {
  if (version !== 1) throw new TypeError('toolsOf: the canonical form has version 1 only')
  const tools = entriesOf(objects).map(([name, tool, path]) => readTool(tool, name, path))
  const isReady = (tool: AgentTool | Promise<AgentTool>): tool is AgentTool => !(tool instanceof Promise)
  return tools.every(isReady) ? tools : Promise.all(tools)
}

/** A key of a record is the name that the model sees. */
function entriesOf(objects: ToolObjects): [string | undefined, unknown, string][] {
  const list: unknown = Array.isArray(objects) ? objects : isObject(objects) ? objects.tools : undefined
  if (Array.isArray(list)) return list.map((tool, at) => [undefined, tool, `toolsOf: tool ${at + 1}`])
  if (!isObject(objects)) throw new TypeError('toolsOf needs a list or a record of tools')
  return Object.entries(objects).map(([name, tool]) => [name, tool, `toolsOf: tool "${name}"`])
}

interface Source {
  name: unknown
  description: unknown
  schema: unknown
}

function readTool(tool: unknown, key: string | undefined, path: string): AgentTool | Promise<AgentTool> {
  const source = typeof tool === 'object' && tool !== null ? sourceOf(tool) : undefined
  const name = key ?? source?.name
  if (source === undefined || typeof name !== 'string')
    throw new TypeError(
      `${path} is no tool of a known framework with a name and a schema: write { name, description, parameters }`,
    )
  // Adapters of LangChain and Mastra write an empty description for none.
  const description =
    typeof source.description === 'string' && source.description !== '' ? source.description : undefined
  const finish = (schema: unknown): AgentTool => {
    if (!isObject(schema)) throw new TypeError(`${path} ("${name}") has no JSON Schema`)
    const parameters = canonicalSchema(schema, `${path} ("${name}")`)
    return { name, ...(description !== undefined && { description }), parameters }
  }
  const schema = jsonSchemaOf(source.schema, `${path} ("${name}")`)
  return schema instanceof Promise ? schema.then(finish) : finish(schema)
}

/** The members as each framework names them. */
function sourceOf(tool: object): Source | undefined {
  const {
    name,
    description,
    id,
    inputSchema,
    input_schema,
    schema,
    parameters,
    metadata,
    type,
  }: ToolMembers = tool
  const nested: ToolMembers = Object(Reflect.get(tool, 'function'))
  // Chat Completions of the OpenAI API.
  if (type === 'function' && typeof nested.name === 'string') return sourceOf(nested)
  // The MCP SDK, the AI SDK and Mastra, whose tools have an `id`.
  if (inputSchema !== undefined) return { name: name ?? id, description, schema: inputSchema }
  if (input_schema !== undefined) return { name, description, schema: input_schema }
  // LangChain.
  if (schema !== undefined) return { name, description, schema }
  // OpenAI Agents, and the Responses API.
  if (parameters !== undefined) return { name, description, schema: parameters }
  // LlamaIndex.
  if (isObject(metadata) && metadata.parameters !== undefined) return sourceOf(metadata)
  return declarationOf(tool)
}

type ToolMembers = Partial<
  Record<
    | 'name'
    | 'description'
    | 'id'
    | 'inputSchema'
    | 'input_schema'
    | 'schema'
    | 'parameters'
    | 'metadata'
    | 'type',
    unknown
  >
>

/** Google ADK. */
function declarationOf(tool: object): Source | undefined {
  const declare: unknown = Reflect.get(tool, '_getDeclaration')
  if (typeof declare !== 'function') return undefined
  const { name, description, parameters, parametersJsonSchema } = Object(Reflect.apply(declare, tool, []))
  return { name, description, schema: parametersJsonSchema ?? parameters ?? { type: 'object' } }
}

/** The JSON Schema of what a caller sends, from the source schema where the tool holds one. */
function jsonSchemaOf(schema: unknown, path: string): unknown {
  const converted = standardJsonSchema(schema)
  if (converted !== undefined) return converted
  // The lazy schemas of the AI SDK.
  const held: unknown = typeof schema === 'function' ? Reflect.apply(schema, undefined, []) : schema
  if (!isObject(held)) return undefined
  // `jsonSchema()` and `zodSchema()` of the AI SDK. It may be a promise.
  const { jsonSchema } = held
  if (isThenable(jsonSchema)) return Promise.resolve(jsonSchema)
  if (isObject(jsonSchema)) return jsonSchema
  if ('~standard' in held || '_def' in held)
    throw new TypeError(
      `${path} has a schema that cannot tell its JSON Schema: use zod 4.2 or later, or pass a JSON Schema`,
    )
  return held
}

/** Standard JSON Schema: zod from 4.2, ArkType and others. */
function standardJsonSchema(schema: unknown): unknown {
  const { '~standard': standard }: { '~standard'?: unknown } = Object(schema)
  const { jsonSchema }: { jsonSchema?: unknown } = Object(standard)
  const { input }: { input?: unknown } = Object(jsonSchema)
  if (typeof input !== 'function') return undefined
  return Reflect.apply(input, jsonSchema, [{ target: 'draft-2020-12' }])
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return isObject(value) && typeof value.then === 'function'
}
