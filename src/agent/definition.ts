import canonicalize from 'canonicalize'
import { agentId, text } from './http/grammar.js'

/** A tool as the model sees it. */
export interface AgentTool {
  name: string
  description: string
  /** The JSON Schema of its parameters. */
  parameters: Readonly<Record<string, unknown>>
  /** The function that does the tool's work. It is the one member that the checksum does not cover. */
  execute?: ((...args: never[]) => unknown) | undefined
}

/** What an agent is: all of it is in its checksum, `execute` of a tool apart. */
export interface AgentDefinition {
  /** 1 to 256 characters of printable ASCII, without `|`. */
  id: string
  /**
   * The checksum covers it without the white space at both ends of each line and without empty lines, so that an
   * editor does not make another agent of it. Two prompts that differ in indentation alone have one checksum: give
   * the model `canonicalPrompt(prompt)` where that difference matters.
   */
  prompt: string
  tools: readonly AgentTool[]
  /** Plain JSON data: model name, temperature and the like. */
  config?: Readonly<Record<string, unknown>>
}

/**
 * Checks a definition and returns the very same object, not a copy: the checksum is computed from what the
 * agent is when it asks for a token, so a prompt or tool that is changed at run time has to stay visible.
 * (A prompt that lives elsewhere can be a getter.)
 *
 * @throws TypeError naming the member that is wrong, or that the checksum would not cover
 */
export function defineAgent<D extends AgentDefinition>(definition: D): D {
  completeAgent(definition)
  return definition
}

/**
 * As `canonicalAgent`, and refuses a member that the checksum would not cover: it could change the agent while the
 * checksum stays the same.
 *
 * @throws TypeError naming the member
 */
export function completeAgent(definition: AgentDefinition): string {
  const canonical = canonicalAgent(definition)
  refuseOthers(definition, AGENT_MEMBERS, 'agent', 'config')
  definition.tools.forEach((tool, i) => {
    const path = `agent.tools[${i}]`
    refuseOthers(tool, TOOL_MEMBERS, path, 'parameters')
    if (tool.execute !== undefined && typeof tool.execute !== 'function') {
      throw new TypeError(`${path}.execute must be a function`)
    }
  })
  return canonical
}

const AGENT_MEMBERS = ['id', 'prompt', 'tools', 'config']
const TOOL_MEMBERS = ['name', 'description', 'parameters', 'execute']

function refuseOthers(value: object, known: readonly string[], path: string, place: string): void {
  const names: (string | symbol)[] = Reflect.ownKeys(value)
  // Inherited members as well: `{ ...tool }` drops them, but `tool.strict` finds them.
  for (const name in value) names.push(name)
  for (const name of names) {
    if (known.includes(name as string) || Reflect.get(value, name) === undefined) continue
    throw new TypeError(
      `${path}.${String(name)} is not covered by the agent checksum: put plain data into ${path}.${place}, or leave it out (known members: ${known.join(', ')})`,
    )
  }
}

/**
 * The RFC 8785 text that is hashed, of the members that the checksum covers. Every member is read once, into a copy,
 * so that what was checked is what is hashed, even behind a getter.
 *
 * @throws TypeError naming the member that is wrong
 */
export function canonicalAgent(definition: AgentDefinition): string {
  if (typeof definition !== 'object' || definition === null) throw new TypeError('agent must be an object')
  const { id, prompt, tools, config } = definition
  if (!Array.isArray(tools)) throw new TypeError('agent.tools must be an array')
  const form = {
    id: agentId(id, 'agent.id'),
    prompt: canonicalPrompt(text(prompt, 'agent.prompt')),
    tools: tools.map(toolForm).sort((a, b) => (a.name < b.name ? -1 : 1)),
    config: config === undefined ? {} : jsonObject(config, 'agent.config'),
  }
  // Two tools of one name would have no defined order, and so no one checksum.
  const twin = form.tools.find((tool, i) => tool.name === form.tools[i + 1]?.name)
  if (twin) throw new TypeError(`agent.tools has two tools named "${twin.name}"`)
  return canonicalize(form) as string
}

function toolForm(tool: unknown, index: number) {
  const path = `agent.tools[${index}]`
  if (typeof tool !== 'object' || tool === null) throw new TypeError(`${path} must be an object`)
  const { name, description, parameters } = tool as Partial<AgentTool>
  if (name === '') throw new TypeError(`${path}.name must not be empty`)
  return {
    name: text(name, `${path}.name`),
    description: text(description, `${path}.description`),
    parameters: jsonObject(parameters, `${path}.parameters`),
  }
}

/**
 * The prompt as the checksum covers it: NFC, line ends as LF, each line trimmed, no empty lines. A model that is given
 * this text sees nothing that the checksum does not cover.
 */
export function canonicalPrompt(prompt: string): string {
  return linesOf(prompt, (line) => line.trim())
}

/** As `canonicalPrompt`, but lines keep their indentation. */
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
 * A copy of plain JSON data. A function, a class instance or a number that JSON has no form for would leave
 * the hash unchanged while the agent changes, so each is refused; an `undefined` member counts as absent, as
 * in JSON.stringify.
 */
function json(value: unknown, path: string, depth: number): unknown {
  if (value === null || typeof value === 'boolean') return value
  if (typeof value === 'string') return text(value, path)
  if (typeof value === 'number' && Number.isFinite(value)) return value
  // The limit also ends a cycle.
  if (depth === 64) throw new TypeError(`${path} is nested deeper than 64 levels`)
  if (Array.isArray(value)) {
    return Array.from(value, (item, i) => json(item, `${path}[${i}]`, depth + 1))
  }
  if (typeof value === 'object' && isPlain(value)) {
    const members = Object.entries(value).filter(([, member]) => member !== undefined)
    return Object.fromEntries(
      members.map(([key, member]) => [text(key, path), json(member, `${path}.${key}`, depth + 1)]),
    )
  }
  throw new TypeError(`${path} is not plain JSON data`)
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  // By shape rather than identity: an object of another realm (a vm context, an iframe) is plain too.
  return prototype === null || Object.hasOwn(prototype, 'isPrototypeOf')
}
