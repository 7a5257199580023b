import { loadedCode } from './code/loaded-code.js'
import { findReplacedPrimitive, sha256 } from './code/primitives.js'
import { type AgentDefinition, canonicalAgent, indentedPrompt, strictCanonicalAgent } from './definition.js'
import { AgentIntegrityError } from './errors.js'
import { parseText } from './http/grammar.js'
import { sha256base64url } from './keys/bytes.js'

/**
 * The agent checksum: `sha256:` and the lower-case hex SHA-256 of the RFC 8785 form of `{ id, prompt, tools,
 * config }`, with tools sorted by name and the prompt's white space normalised. `code` adds what it covers.
 * The checksum ignores any other member; `defineAgent` refuses it.
 *
 * @throws TypeError naming the member that is wrong
 */
export async function agentChecksum(definition: AgentDefinition): Promise<string> {
  return checksumOf(canonicalAgent(definition))
}

/**
 * The `intent_hash` of the request text that the user saw and approved: base64url SHA-256 of its UTF-8 bytes.
 *
 * @throws TypeError if `request` is not a well-formed string
 */
export async function intentHash(request: string): Promise<string> {
  return sha256base64url(parseText(request, 'request'))
}

/**
 * Takes a snapshot of the agent at once, so that a change before the first request is detected. Without a
 * registered checksum, the check compares with this snapshot.
 *
 * @returns a check that resolves to the checksum, or rejects with AgentIntegrityError
 * @throws TypeError naming the member that is wrong, or that the checksum would not cover
 */
export function createIntegrityCheck(agent: AgentDefinition, registered?: string): () => Promise<string> {
  const { id } = agent
  const atCreation = snapshot(agent)
  return async () => {
    loadedCode()?.announce()
    const expected = registered ?? (await checksumOf(atCreation.canonical))
    const now = trySnapshot(agent)
    if (now instanceof Error) throw new AgentIntegrityError(id, expected, undefined, now.message)
    const fault = findCodeFault(agent, atCreation, now)
    if (fault !== undefined) throw new AgentIntegrityError(id, expected, undefined, fault)
    const actual = await checksumOf(now.canonical)
    if (actual !== expected) {
      const what = registered === undefined ? 'what it was when the client was made' : 'the registered one'
      throw new AgentIntegrityError(id, expected, actual, `its checksum is not ${what}`)
    }
    // The checksum ignores indentation, but the model sees it.
    if (now.prompt !== atCreation.prompt) {
      throw new AgentIntegrityError(id, expected, actual, 'the indentation of its prompt has changed')
    }
    return actual
  }
}

/** An agent that can no longer be hashed has changed, too. */
function trySnapshot(agent: AgentDefinition): Snapshot | Error {
  try {
    return snapshot(agent)
  } catch (error) {
    return error instanceof Error ? error : new Error('it cannot be read')
  }
}

interface Snapshot {
  canonical: string
  prompt: string
  /** The tools' functions by name. Two functions of one source can have different closures. */
  functions: ReadonlyMap<string, unknown>
}

function snapshot(agent: AgentDefinition): Snapshot {
  return {
    canonical: strictCanonicalAgent(agent),
    prompt: indentedPrompt(agent.prompt),
    functions: new Map(agent.code === 'tools' ? agent.tools.map(({ name, execute }) => [name, execute]) : []),
  }
}

/** The first part of the running code that has changed, apart from the definition itself. */
function findCodeFault(
  { code }: AgentDefinition,
  { functions }: Snapshot,
  now: Snapshot,
): string | undefined {
  const primitive = findReplacedPrimitive()
  if (primitive !== undefined)
    return `${primitive} was replaced after ajwt/agent was loaded: load what replaces it before ajwt/agent`
  for (const [name, execute] of now.functions)
    if (execute !== functions.get(name))
      return `the function of the tool "${name}" was replaced by another function`
  return typeof code === 'object' ? findModuleFault(code.digest) : undefined
}

function findModuleFault(registered: string): string | undefined {
  const loaded = loadedCode()
  if (loaded === undefined)
    return 'code.digest cannot be compared: start Node with --import ajwt/agent/loader'
  const digest = loaded.digest()
  if (digest === registered) return undefined
  return (
    `the loaded modules have the digest ${digest}, not code.digest. The last ones: ` +
    `${loaded.latest().join(', ')}. Load every module before the first request, and register what ` +
    '`npx ajwt checksum --code ENTRY` prints'
  )
}

async function checksumOf(canonical: string): Promise<string> {
  const hex = Array.from(await sha256(canonical), (byte) => byte.toString(16).padStart(2, '0'))
  return `sha256:${hex.join('')}`
}
