import { randomUUID } from 'node:crypto'
import { type AgentDefinition, agentChecksum } from '../agent/index.js'
import { oneErrorForCopies } from '../copies.js'

/** One version of an agent. Only the newest is current: a token request for an older one is refused. */
export interface RegisteredAgent {
  readonly id: string
  readonly version: number
  readonly registrationId: string
  readonly checksum: string
  readonly scopes: ReadonlySet<string>
}

export interface AgentRegistration {
  readonly definition: AgentDefinition
  /** What the agent's developer computed. It is computed again here, and a mismatch is refused. */
  readonly checksum: string
  readonly scopes: readonly string[]
}

/** One thing that a person agreed to (RFC 9396 section 2). */
export interface AuthorizationDetail {
  readonly type: string
  readonly [member: string]: string | number | boolean
}

/** A request that a person approved: the run it started may carry how that person was authenticated. */
export interface Approval {
  readonly user: string
  /** base64url SHA-256 of the request as the person saw it. */
  readonly intentHash: string
  /** The agent that the person set going. */
  readonly agentId: string
  readonly workflowId?: string
  readonly acr: string
  readonly amr: readonly string[]
  /** Seconds since the epoch. */
  readonly authTime: number
  /** What exactly was approved (RFC 9396): it goes into the token as it is. */
  readonly details?: readonly AuthorizationDetail[]
}

type Awaitable<T> = T | Promise<T>

/** What the grant asks: of a map in memory, or of a database. A question that fails refuses the token. */
export interface Registry {
  /** The current version of an agent. */
  agent(id: string): Awaitable<RegisteredAgent | undefined>
  /** Whether a client may act as an agent. A dynamic client has no such right until somebody grants it. */
  permitted(clientId: string, agentId: string): Awaitable<boolean>
  /** Remembers a key that an agent proved possession of, so that it can be attested as a delegator's key. */
  sawKey(agentId: string, thumbprint: string): Awaitable<void>
  knowsKey(agentId: string, thumbprint: string): Awaitable<boolean>
  /** What a person approved for this agent to do, if they did. */
  approval(
    intentHash: string,
    agentId: string,
    workflowId: string | undefined,
  ): Awaitable<Approval | undefined>
}

export class RegistrationError extends Error {
  static {
    oneErrorForCopies(RegistrationError, 'RegistrationError')
  }
  override name = 'RegistrationError'
}

/**
 * The next version of an agent, with its checksum computed anew: what a registry keeps, whatever keeps it.
 *
 * @throws RegistrationError where the checksum is not the definition's, or the definition has none
 */
export async function checkedRegistration(
  { definition, checksum, scopes }: AgentRegistration,
  version: number,
): Promise<RegisteredAgent> {
  // Read once: what is checked below is what the checksum is of, even if the caller goes on changing it.
  const { id } = definition
  // It refuses an unusable id, too: ids are joined by `|` before they are hashed, so one that holds it could be two.
  const own = await agentChecksum(definition).catch((cause) => {
    throw new RegistrationError('the definition has no checksum', { cause })
  })
  if (own !== checksum) throw new RegistrationError('the checksum is not the one of the definition')
  const registrationId = `reg-${randomUUID()}`
  return Object.freeze({ id, version, registrationId, checksum, scopes: new Set(scopes) })
}
