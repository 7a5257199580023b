import { type AgentDefinition, canonicalAgent, completeAgent, indentedPrompt } from './definition.js'
import { AgentIntegrityError } from './errors.js'
import { text } from './http/grammar.js'
import { sha256, sha256base64url } from './keys/bytes.js'

/**
 * The agent checksum: `sha256:` and the lower-case hex SHA-256 of the RFC 8785 form of
 * `{ id, prompt, tools, config }`, tools sorted by name, the prompt's white space normalised. Other members are left
 * out of it; `defineAgent` refuses them.
 *
 * @throws TypeError naming the member that is wrong
 */
export async function agentChecksum(definition: AgentDefinition): Promise<string> {
  return checksumOf(canonicalAgent(definition))
}

/**
 * The `intent_hash` of a user's request, as it was shown and approved: base64url SHA-256 of its UTF-8 bytes.
 *
 * @throws TypeError where it is not a well-formed string
 */
export async function intentHash(request: string): Promise<string> {
  return sha256base64url(text(request, 'request'))
}

/**
 * Compares the agent as it is now with its registered checksum, or else with what it was at this call.
 * The first reading is taken at once, so that no change can slip in before the first request.
 *
 * @returns a check that resolves to the checksum, or rejects with AgentIntegrityError
 * @throws TypeError naming the member that is wrong, or that the checksum would not cover
 */
export function createIntegrityCheck(agent: AgentDefinition, registered?: string): () => Promise<string> {
  const { id } = agent
  const atCreation = snapshot(agent)
  return async () => {
    const expected = registered ?? (await checksumOf(atCreation.canonical))
    const now = read(agent)
    if (now instanceof Error) throw new AgentIntegrityError(id, expected, undefined, now.message)
    const actual = await checksumOf(now.canonical)
    if (actual !== expected) {
      const what = registered === undefined ? 'what it was when the client was made' : 'the registered one'
      throw new AgentIntegrityError(id, expected, actual, `its checksum is not ${what}`)
    }
    // The checksum does not see indentation, and the model does: it is compared with that at the client's creation.
    if (now.prompt !== atCreation.prompt) {
      throw new AgentIntegrityError(id, expected, actual, 'the indentation of its prompt has changed')
    }
    return actual
  }
}

/** A definition that was changed into something with no checksum at all is a changed agent, too. */
function read(agent: AgentDefinition): Snapshot | Error {
  try {
    return snapshot(agent)
  } catch (error) {
    return error instanceof Error ? error : new Error('it cannot be read')
  }
}

interface Snapshot {
  canonical: string
  prompt: string
}

function snapshot(agent: AgentDefinition): Snapshot {
  return { canonical: completeAgent(agent), prompt: indentedPrompt(agent.prompt) }
}

async function checksumOf(canonical: string): Promise<string> {
  const hex = Array.from(await sha256(canonical), (byte) => byte.toString(16).padStart(2, '0'))
  return `sha256:${hex.join('')}`
}
