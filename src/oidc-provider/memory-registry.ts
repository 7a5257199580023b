import { memoryApprovals } from './memory-approvals.js'
import { memoryKeys } from './memory-keys.js'
import {
  type AgentRegistration,
  type Approval,
  checkedRegistration,
  type RecordedApproval,
  type RegisteredAgent,
  RegistrationError,
  type Registry,
} from './registry.js'

export interface MemoryRegistryOptions {
  /**
   * Whether a person's account has this name. No agent can be registered under it. Names of persons who have
   * approved something are refused in any case.
   */
  readonly isPerson?: (name: string) => boolean | Promise<boolean>
  /** Seconds that a delegator's key is kept after its last token request. Default 86400. */
  readonly keyMaxAge?: number
  /** Seconds that an approval is valid after it was recorded. Default 86400. */
  readonly approvalMaxAge?: number
  /** Milliseconds since the epoch. */
  readonly now?: () => number
}

export interface MemoryRegistry extends Registry {
  /**
   * Registers an agent, or a further version of it. Earlier versions stay current. An equal definition
   * replaces its earlier registration, or changes nothing if the scopes are equal, too.
   *
   * @throws RegistrationError
   */
  register(registration: AgentRegistration): Promise<RegisteredAgent>
  /** Ends a registration and deletes its keys. Issued tokens stay valid until they expire or are revoked. */
  retire(registrationId: string): void
  registrations(agentId: string): readonly RegisteredAgent[]
  /** All versions of an agent, including retired ones, oldest first. */
  versions(agentId: string): readonly RegisteredAgent[]
  /** Allows a client to act as an agent. */
  permit(clientId: string, agentId: string): void
  /** Revokes that permission. */
  forbid(clientId: string, agentId: string): void
  /**
   * Deletes a key from every registration of the agent. Delegations signed with it are refused from now on.
   */
  forgetKey(agentId: string, thumbprint: string): void
  /**
   * Records an approval. A later approval of the same text by the same person replaces it.
   *
   * @throws RegistrationError if the person has the id of an agent
   */
  approve(approval: Approval): RecordedApproval
}

const DAY = 86400

/** A registry in memory, for one process: agents, their versions, permitted clients, and approvals. */
export function memoryRegistry(options: MemoryRegistryOptions = {}): MemoryRegistry {
  const { isPerson = () => false, now = Date.now } = options
  const all = new Map<string, RegisteredAgent[]>()
  const retired = new Set<string>()
  const clients = new Map<string, Set<string>>()
  const keys = memoryKeys(positive(options.keyMaxAge ?? DAY, 'keyMaxAge') * 1000, now)
  const approvals = memoryApprovals(positive(options.approvalMaxAge ?? DAY, 'approvalMaxAge') * 1000, now)
  let last: Promise<unknown> = Promise.resolve()

  const versions = (agentId: string) => all.get(agentId) ?? []
  const registrations = (agentId: string) =>
    versions(agentId).filter(({ registrationId }) => !retired.has(registrationId))

  async function add(registration: AgentRegistration): Promise<RegisteredAgent> {
    const { id } = registration.definition
    const agent = await checkedRegistration(registration, versions(id).length + 1)
    // Policies match persons and agents by the same claim, `initiated_by`.
    if (approvals.hasPerson(agent.id) || (await isPerson(agent.id)) !== false)
      throw new RegistrationError(`"${agent.id}" is the name of a person: choose another id for the agent`)
    const same = registrations(id).find(({ checksum }) => checksum === agent.checksum)
    if (same !== undefined && sameScopes(same.scopes, agent.scopes)) return same
    all.set(id, [...versions(id), agent])
    if (same !== undefined) retire(same.registrationId)
    return agent
  }

  function retire(registrationId: string): void {
    retired.add(registrationId)
    keys.deleteAll(registrationId)
  }

  return {
    register(registration) {
      // Serialized: two at once would get the same version number, and one would be lost.
      const added = last.then(() => add(registration))
      last = added.catch(() => {})
      return added
    },
    retire,
    registrations,
    versions: (agentId) => [...versions(agentId)],
    permit(clientId, agentId) {
      clients.set(clientId, (clients.get(clientId) ?? new Set()).add(agentId))
    },
    forbid: (clientId, agentId) => void clients.get(clientId)?.delete(agentId),
    permitted: (clientId, agentId) => clients.get(clientId)?.has(agentId) ?? false,
    sawKey({ registrationId }, thumbprint) {
      // The registration may have been retired while the token was issued.
      if (!retired.has(registrationId)) keys.add(registrationId, thumbprint)
    },
    knowsKey: ({ registrationId }, thumbprint) => keys.has(registrationId, thumbprint),
    forgetKey(agentId, thumbprint) {
      for (const { registrationId } of versions(agentId)) keys.delete(registrationId, thumbprint)
    },
    approve(approval) {
      if (versions(approval.user).length > 0)
        throw new RegistrationError(`"${approval.user}" is the id of an agent: no person can have it`)
      return approvals.record(approval)
    },
    approval: approvals.find,
    useApproval: approvals.use,
  }
}

function sameScopes(one: ReadonlySet<string>, other: ReadonlySet<string>): boolean {
  return one.size === other.size && [...one].every((scope) => other.has(scope))
}

function positive(value: number, option: string): number {
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new TypeError(`${option} must be a positive whole number of seconds`)
}
