import {
  type AgentRegistration,
  type Approval,
  checkedRegistration,
  type RegisteredAgent,
  type Registry,
} from './registry.js'

export interface MemoryRegistry extends Registry {
  /**
   * Registers an agent, or its next version.
   *
   * @throws RegistrationError
   */
  register(registration: AgentRegistration): Promise<RegisteredAgent>
  agent(id: string): RegisteredAgent | undefined
  /** All versions of an agent, oldest first. */
  versions(id: string): readonly RegisteredAgent[]
  /** Lets a client act as an agent. */
  permit(clientId: string, agentId: string): void
  /** Records what a person approved. */
  approve(approval: Approval): void
}

/** Agents, their versions, the clients that may act as them, and approvals, in memory: for one process. */
export function memoryRegistry(): MemoryRegistry {
  const versions = new Map<string, RegisteredAgent[]>()
  const clients = pairs()
  const keys = pairs()
  const approvals: Approval[] = []
  let last: Promise<unknown> = Promise.resolve()

  async function add(registration: AgentRegistration): Promise<RegisteredAgent> {
    const { id } = registration.definition
    const known = versions.get(id) ?? []
    const agent = await checkedRegistration(registration, known.length + 1)
    versions.set(id, [...known, agent])
    return agent
  }

  return {
    register(registration) {
      // One after the other: of two at once, both would be the same version, and one would be lost.
      const added = last.then(() => add(registration))
      last = added.catch(() => {})
      return added
    },
    agent: (id) => versions.get(id)?.at(-1),
    versions: (id) => [...(versions.get(id) ?? [])],
    permit: clients.add,
    permitted: clients.has,
    sawKey: keys.add,
    knowsKey: keys.has,
    approve(approval) {
      approvals.push(approval)
    },
    approval: (intentHash, agentId, workflowId) =>
      approvals.find(
        (one) =>
          one.intentHash === intentHash &&
          one.agentId === agentId &&
          (one.workflowId === undefined || one.workflowId === workflowId),
      ),
  }
}

function pairs() {
  const known = new Map<string, Set<string>>()
  return {
    add(left: string, right: string): void {
      const rights = known.get(left) ?? new Set<string>()
      known.set(left, rights.add(right))
    },
    has: (left: string, right: string): boolean => known.get(left)?.has(right) ?? false,
  }
}
