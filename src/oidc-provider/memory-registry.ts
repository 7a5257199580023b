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
  /** Whether a person's account has this name: no agent can be registered under it. Default: who has approved something. */
  readonly isPerson?: (name: string) => boolean | Promise<boolean>
  /** Seconds after its last token request that a delegator's key is forgotten. Default 86400. */
  readonly keyMaxAge?: number
  /** Seconds that an approval counts after it was recorded. Default 86400. */
  readonly approvalMaxAge?: number
  /** Milliseconds since the epoch. */
  readonly now?: () => number
}

export interface MemoryRegistry extends Registry {
  /**
   * Registers an agent, or one more version of it, beside those that are current. The same definition again
   * replaces its earlier registration, or changes nothing where the scopes are the same, too.
   *
   * @throws RegistrationError
   */
  register(registration: AgentRegistration): Promise<RegisteredAgent>
  /** Ends a registration, and what is known of its keys. Tokens that are out live until they expire or are revoked. */
  retire(registrationId: string): void
  registrations(agentId: string): readonly RegisteredAgent[]
  /** All versions of an agent, oldest first, the retired ones as well. */
  versions(agentId: string): readonly RegisteredAgent[]
  /** Lets a client act as an agent. */
  permit(clientId: string, agentId: string): void
  /** Takes that right back. */
  forbid(clientId: string, agentId: string): void
  /** Forgets a key under every registration of the agent: its delegations are refused from now on. */
  forgetKey(agentId: string, thumbprint: string): void
  /**
   * Records what a person approved. A later approval of the same text by the same person replaces it.
   *
   * @throws RegistrationError where the person has the id of an agent
   */
  approve(approval: Approval): RecordedApproval
}

const DAY = 86400

/** Agents, their versions, the clients that may act as them, and approvals, in memory: for one process. */
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
    // Rules of a policy name persons and agents in one claim, `initiated_by`.
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
    keys.end(registrationId)
  }

  return {
    register(registration) {
      // One after the other: of two at once, both would be the same version, and one would be lost.
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
      // It may have been retired while the token was being made.
      if (!retired.has(registrationId)) keys.saw(registrationId, thumbprint)
    },
    knowsKey: ({ registrationId }, thumbprint) => keys.knows(registrationId, thumbprint),
    forgetKey(agentId, thumbprint) {
      for (const { registrationId } of versions(agentId)) keys.forget(registrationId, thumbprint)
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
