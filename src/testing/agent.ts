import { createHash, randomUUID } from 'node:crypto'
import { type AgentDefinition, strictCanonicalAgent } from '../agent/definition.js'
import { delegate } from './delegation.js'
import { generateKey, type TestKey } from './key.js'
import type { DelegationGrant, TestAgent } from './types.js'

/** For policies that name the checksum or the registration of an agent. */
export interface TestAgentOptions {
  /** Default: no prompt, no tools. */
  readonly definition?: Omit<AgentDefinition, 'id'>
  readonly registrationId?: string
}

export interface AgentRegistry {
  agent(id: string, options?: TestAgentOptions): TestAgent
  has(id: string): boolean
  keyOf(agent: TestAgent | string): TestKey
}

/** The agents of one issuer. An id always means the same agent with the same key. */
export function createAgents(audience: string, now: () => number): AgentRegistry {
  const agents = new Map<string, { readonly agent: TestAgent; readonly key: TestKey }>()

  function register(id: string, { definition, registrationId }: TestAgentOptions = {}) {
    const key = generateKey()
    // Throws a TypeError that names a member that cannot be hashed.
    const canonical = strictCanonicalAgent({ prompt: '', tools: [], ...definition, id })
    const agent: TestAgent = Object.freeze({
      id,
      checksum: `sha256:${createHash('sha256').update(canonical).digest('hex')}`,
      registrationId: registrationId ?? `reg-${randomUUID()}`,
      keyThumbprint: key.thumbprint,
      delegateTo: (to: TestAgent | string, grant: DelegationGrant) =>
        delegate({ from: agent, key, to: registry.agent(idOf(to)), audience, now: now() }, grant),
    })
    const entry = { agent, key }
    agents.set(id, entry)
    return entry
  }

  const registry: AgentRegistry = {
    agent(id, options) {
      const known = agents.get(id)
      // A second registration would have another key, which would invalidate earlier tokens and delegations.
      if (known && options) {
        throw new TypeError(
          `agent "${id}" is registered already: pass options with the first call for this id`,
        )
      }
      return (known ?? register(id, options)).agent
    },
    has: (id) => agents.has(id),
    keyOf(agent) {
      const id = idOf(agent)
      return (agents.get(id) ?? register(id)).key
    },
  }
  return registry
}

export function idOf(agent: TestAgent | string): string {
  return typeof agent === 'string' ? agent : agent.id
}
