import { randomUUID } from 'node:crypto'
import { type AgentDefinition, agentChecksum } from '../agent/index.js'
import { oneErrorForCopies } from '../lib/copies.js'

/** One version of an agent. Several may be current at once, as during a rolling deployment. */
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
  /** The person's account. It must not be the id of an agent. */
  readonly user: string
  /** base64url SHA-256 of the request as the person saw it. */
  readonly intentHash: string
  /** The agent that the person set going. */
  readonly agentId: string
  /** Default: any workflow. */
  readonly workflowId?: string
  readonly acr: string
  readonly amr: readonly string[]
  /** Seconds since the epoch. */
  readonly authTime: number
  /** What exactly was approved (RFC 9396): it goes into the token as it is. */
  readonly details?: readonly AuthorizationDetail[]
}

export interface RecordedApproval extends Approval {
  /** Unique in the registry. */
  readonly id: string
}

export interface ApprovalQuery {
  readonly intentHash: string
  /** The agent that the run began with. */
  readonly agentId: string
  readonly workflowId: string | undefined
  /** The person, where the run or the request names one; else the latest approval of anyone counts. */
  readonly user: string | undefined
}

type Awaitable<T> = T | Promise<T>

/** What the grant asks: of a map in memory, or of a database. A question that fails refuses the token. */
export interface Registry {
  /** The current registrations of an agent, oldest first. None: the agent is unknown, or all are retired. */
  registrations(agentId: string): Awaitable<readonly RegisteredAgent[]>
  /** Whether a client may act as an agent. A dynamic client has no such right until somebody grants it. */
  permitted(clientId: string, agentId: string): Awaitable<boolean>
  /** Remembers a key that was proved under a registration, so that it can be attested as a delegator's key. */
  sawKey(registration: RegisteredAgent, thumbprint: string): Awaitable<void>
  /** Whether a key was seen under this registration, and neither forgotten nor too old. */
  knowsKey(registration: RegisteredAgent, thumbprint: string): Awaitable<boolean>
  /** The latest approval that matches and is not used up. */
  approval(query: ApprovalQuery): Awaitable<RecordedApproval | undefined>
  /** Uses an approval up. True for exactly one caller, however many ask at once. */
  useApproval(id: string): Awaitable<boolean>
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
