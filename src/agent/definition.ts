import canonicalize from 'canonicalize'
import { agentId, text } from './grammar.js'

/** A tool as the model sees it. Members beyond these three (its code, say) are no part of the checksum. */
export interface AgentTool {
  name: string
  description: string
  /** The JSON Schema of its parameters. */
  parameters: Readonly<Record<string, unknown>>
}

/** What an agent is: all of it is in its checksum. */
export interface AgentDefinition {
  /** 1 to 256 characters of printable ASCII, without `|`. */
  id: string
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
 * @throws TypeError naming the member that is wrong
 */
export function defineAgent<D extends AgentDefinition>(definition: D): D {
  canonicalAgent(definition)
  return definition
}

/**
 * The RFC 8785 text that is hashed. Every member is read once, into a copy, so that what was checked is what
 * is hashed, even behind a getter.
 *
 * @throws TypeError naming the member that is wrong
 */
export function canonicalAgent(definition: AgentDefinition): string {
  if (typeof definition !== 'object' || definition === null) throw new TypeError('agent must be an object')
  const { id, prompt, tools, config } = definition
  if (!Array.isArray(tools)) throw new TypeError('agent.tools must be an array')
  const form = {
    id: agentId(id, 'agent.id'),
    prompt: normalisedPrompt(text(prompt, 'agent.prompt')),
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

/** White space that a template engine or an editor moves about must not make another agent of it. */
function normalisedPrompt(prompt: string): string {
  const lines = prompt.normalize('NFC').replace(/\r\n?/g, '\n').split('\n')
  return lines
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join('\n')
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
