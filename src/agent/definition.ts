import canonicalize from 'canonicalize'
import { loadedCode } from './code/loaded-code.js'
import { sourceOf } from './code/primitives.js'
import { parseAgentId, parseText } from './http/grammar.js'

/** A tool as the model sees it. */
export interface AgentTool {
  name: string
  description?: string | undefined
  /** The JSON Schema of its parameters. */
  parameters: Readonly<Record<string, unknown>>
  /** The tool's function. The checksum covers it with `code: 'tools'` only. */
  execute?: ((...args: never[]) => unknown) | undefined
}

/**
 * The definition of an agent. Its checksum covers all of it; `execute` of a tool with `code: 'tools'` only.
 */
export interface AgentDefinition {
  /** 1 to 256 characters of printable ASCII, without `|`. */
  id: string
  /**
   * The checksum ignores empty lines and the white space at both ends of each line, so that an editor's
   * changes do not change it. Two prompts that differ only in indentation have the same checksum. If that
   * difference matters, give the model `canonicalPrompt(prompt)`.
   */
  prompt: string
  tools: readonly AgentTool[]
  /** Plain JSON data: model name, temperature and the like. */
  config?: Readonly<Record<string, unknown>>
  /**
   * The code that the checksum covers. `'tools'`: the source of each tool's `execute`. `{ digest }`: every
   * module of the process, as `npx ajwt checksum --code ENTRY` prints it; the process must be started with
   * `node --import ajwt/agent/loader`. Default: no code.
   */
  code?: 'tools' | { readonly digest: string } | undefined
}

/**
 * Checks a definition and returns the same object, not a copy: the checksum is computed again before each
 * request, so that a change at run time is detected. A prompt that is stored elsewhere can be a getter.
 *
 * @throws TypeError naming the member that is wrong, or that the checksum would not cover
 */
export function defineAgent<D extends AgentDefinition>(definition: D): D {
  strictCanonicalAgent(definition)
  return definition
}

/**
 * Like `canonicalAgent`, but refuses any member that the checksum does not cover: such a member could change
 * the agent without changing the checksum.
 *
 * @throws TypeError naming the member
 */
export function strictCanonicalAgent(definition: AgentDefinition): string {
  const canonical = canonicalAgent(definition)
  refuseUnknown(definition, AGENT_MEMBERS, 'agent', 'config')
  definition.tools.forEach((tool, i) => {
    const path = `agent.tools[${i}]`
    refuseUnknown(tool, TOOL_MEMBERS, path, 'parameters')
    if (tool.execute !== undefined && typeof tool.execute !== 'function') {
      throw new TypeError(`${path}.execute must be a function`)
    }
  })
  return canonical
}

const AGENT_MEMBERS = ['id', 'prompt', 'tools', 'config', 'code']
const TOOL_MEMBERS = ['name', 'description', 'parameters', 'execute']

function refuseUnknown(value: object, known: readonly string[], path: string, coveredMember: string): void {
  const names: (string | symbol)[] = Reflect.ownKeys(value)
  // Inherited members too: `{ ...tool }` drops them, but `tool.strict` finds them.
  for (const name in value) names.push(name)
  for (const name of names) {
    if (known.some((member) => member === name) || Reflect.get(value, name) === undefined) continue
    throw new TypeError(
      `${path}.${String(name)} is not covered by the agent checksum: put plain data into ` +
        `${path}.${coveredMember}, or leave it out (known members: ${known.join(', ')})`,
    )
  }
}

/**
 * The RFC 8785 text that the checksum is computed from. Each member is read once, into a copy, so that a
 * getter cannot return one value for the check and another for the hash.
 *
 * @throws TypeError naming the member that is wrong
 */
export function canonicalAgent(definition: AgentDefinition): string {
  if (typeof definition !== 'object' || definition === null) throw new TypeError('agent must be an object')
  const { id, prompt, tools, config, code } = definition
  if (!Array.isArray(tools)) throw new TypeError('agent.tools must be an array')
  const form = {
    id: parseAgentId(id, 'agent.id'),
    prompt: canonicalPrompt(parseText(prompt, 'agent.prompt')),
    tools: tools
      .map((tool, index) => toolForm(tool, index, code === 'tools'))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    config: config === undefined ? {} : jsonObject(config, 'agent.config'),
    ...(code !== undefined && { code: codeForm(code) }),
  }
  // Two tools of one name have no defined order, so the checksum would not be unique.
  const duplicate = form.tools.find((tool, i) => tool.name === form.tools[i + 1]?.name)
  if (duplicate) throw new TypeError(`agent.tools has two tools named "${duplicate.name}"`)
  return canonicalize(form) as string
}

function toolForm(tool: unknown, index: number, hasSource: boolean) {
  const path = `agent.tools[${index}]`
  if (typeof tool !== 'object' || tool === null) throw new TypeError(`${path} must be an object`)
  const { name, description, parameters, execute }: Partial<Record<keyof AgentTool, unknown>> = tool
  if (name === '') throw new TypeError(`${path}.name must not be empty`)
  return {
    name: parseText(name, `${path}.name`),
    ...(description !== undefined && { description: parseText(description, `${path}.description`) }),
    parameters: jsonObject(parameters, `${path}.parameters`),
    // A tool without a function runs elsewhere.
    ...(hasSource &&
      typeof execute === 'function' && { source: sourceOf(execute as Execute, `${path}.execute`) }),
  }
}

type Execute = NonNullable<AgentTool['execute']>

function codeForm(code: unknown): 'tools' | { digest: string } {
  if (code === 'tools') return code
  const digest = typeof code === 'object' && code !== null && 'digest' in code ? code.digest : undefined
  if (typeof digest === 'string' && /^sha256:[0-9a-f]{64}$/.test(digest)) return { digest }
  // `ajwt checksum --code` has started the process to learn the digest.
  if (loadedCode()?.isMeasuring) return { digest: `sha256:${'0'.repeat(64)}` }
  throw new TypeError(
    "agent.code must be 'tools', or { digest } with the text that `npx ajwt checksum --code ENTRY` prints",
  )
}

/**
 * The prompt in the form that the checksum covers: NFC, LF line ends, each line trimmed, no empty lines. A
 * model that gets this text sees nothing that the checksum does not cover.
 */
export function canonicalPrompt(prompt: string): string {
  return linesOf(prompt, (line) => line.trim())
}

/** Like `canonicalPrompt`, but keeps the indentation. */
export function indentedPrompt(prompt: string): string {
  return linesOf(prompt.trim(), (line) => line.trimEnd())
}

function linesOf(prompt: string, change: (line: string) => string): string {
  const lines = prompt.normalize('NFC').replace(/\r\n?/g, '\n').split('\n').map(change)
  return lines.filter((line) => line !== '').join('\n')
}

function jsonObject(value: unknown, path: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError(`${path} must be a plain object`)
  }
  return json(value, path, 0)
}

/**
 * Copies plain JSON data. Refuses functions, class instances and non-finite numbers: they could change the
 * agent without changing the hash. An `undefined` member counts as absent, as in JSON.stringify.
 */
function json(value: unknown, path: string, depth: number): unknown {
  if (value === null || typeof value === 'boolean') return value
  if (typeof value === 'string') return parseText(value, path)
  if (typeof value === 'number' && Number.isFinite(value)) return value
  // The limit also stops a cycle.
  if (depth === 64) throw new TypeError(`${path} is nested deeper than 64 levels`)
  if (Array.isArray(value)) {
    return Array.from(value, (item, i) => json(item, `${path}[${i}]`, depth + 1))
  }
  if (typeof value === 'object' && isPlain(value)) {
    const members = Object.entries(value).filter(([, member]) => member !== undefined)
    return Object.fromEntries(
      members.map(([key, member]) => [parseText(key, path), json(member, `${path}.${key}`, depth + 1)]),
    )
  }
  throw new TypeError(`${path} is not plain JSON data`)
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  // Not compared by identity: a plain object may come from another realm (a vm context, an iframe).
  return prototype === null || Object.hasOwn(prototype, 'isPrototypeOf')
}
