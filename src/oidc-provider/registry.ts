import { randomUUID } from 'node:crypto'
import { type AgentDefinition, agentChecksum } from '../agent/index.js'
import { brandError } from '../lib/copies.js'

/** One version of an agent. Several can be current at once, for example during a rolling deployment. */
export interface RegisteredAgent {
  readonly id: string
  readonly version: number
  readonly registrationId: string
  readonly checksum: string
  readonly scopes: ReadonlySet<string>
}

export interface AgentRegistration {
  readonly definition: AgentDefinition
  /**
   * The checksum that the agent's developer computed. The registry computes it again and refuses a mismatch.
   */
  readonly checksum: string
  readonly scopes: readonly string[]
}

/** A member of `authorization_details` (RFC 9396 section 2) that a person approved. */
export interface AuthorizationDetail {
  readonly type: string
  readonly [member: string]: string | number | boolean
}

/** A person's approval of a request. Tokens of the run get `acr`, `amr` and `auth_time` from it. */
export interface Approval {
  /** The person's account. It must not be the id of an agent. */
  readonly user: string
  /** Base64url SHA-256 of the request text that the person saw. */
  readonly intentHash: string
  /** The agent that the person instructed. */
  readonly agentId: string
  /** Default: any workflow. */
  readonly workflowId?: string
  readonly acr: string
  readonly amr: readonly string[]
  /** Seconds since the epoch. */
  readonly authTime: number
  /** The `authorization_details` (RFC 9396) of the token, unchanged. */
  readonly details?: readonly AuthorizationDetail[]
}

export interface RecordedApproval extends Approval {
  /** Unique in the registry. */
  readonly id: string
}

export interface ApprovalQuery {
  readonly intentHash: string
  /** The agent that initiated the run. */
  readonly agentId: string
  readonly workflowId: string | undefined
  /** The person, if the run or the request names one. Otherwise the latest approval by anyone matches. */
  readonly user: string | undefined
}

type MaybePromise<T> = T | Promise<T>

/** Lookups of the grant, in memory or in a database. If one fails, no token is issued. */
export interface Registry {
  /**
   * The current registrations of an agent, oldest first. Empty if the agent is unknown or all are retired.
   */
  registrations(agentId: string): MaybePromise<readonly RegisteredAgent[]>
  /**
   * Whether a client may act as an agent. A dynamically registered client has no such permission at first.
   */
  permitted(clientId: string, agentId: string): MaybePromise<boolean>
  /** Records a key that was proved under a registration, so that delegations signed with it are accepted. */
  sawKey(registration: RegisteredAgent, thumbprint: string): MaybePromise<void>
  /** Whether a key was proved under this registration and has neither been deleted nor expired. */
  knowsKey(registration: RegisteredAgent, thumbprint: string): MaybePromise<boolean>
  /** The latest matching approval that has not been used. */
  approval(query: ApprovalQuery): MaybePromise<RecordedApproval | undefined>
  /** Marks an approval as used. Must be atomic: true for exactly one of several concurrent calls. */
  useApproval(id: string): MaybePromise<boolean>
}

export class RegistrationError extends Error {
  static {
    brandError(RegistrationError, 'RegistrationError')
  }
  override name = 'RegistrationError'
}

/**
 * Checks a registration and returns the record to store. For registries of your own.
 *
 * @throws RegistrationError if the definition cannot be hashed, or if its checksum differs
 */
export async function checkedRegistration(
  { definition, checksum, scopes }: AgentRegistration,
  version: number,
): Promise<RegisteredAgent> {
  // Read once, since the caller could change it while the checksum is computed.
  const { id } = definition
  // This also refuses an id that contains `|`, which separates ids in a hash.
  const computed = await agentChecksum(definition).catch((cause) => {
    throw new RegistrationError('the definition has no checksum: its cause names the wrong member', { cause })
  })
  if (computed !== checksum) {
    throw new RegistrationError('the checksum does not match the definition: compute it with agentChecksum')
  }
  const registrationId = `reg-${randomUUID()}`
  return Object.freeze({ id, version, registrationId, checksum, scopes: new Set(scopes) })
}
