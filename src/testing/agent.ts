import { createHash, randomUUID } from 'node:crypto'
import { type AgentDefinition, strictCanonicalAgent } from '../agent/definition.js'
import { delegate } from './delegation.js'
import { generateKey, type TestKey } from './key.js'
import type { DelegationGrant, TestAgent } from './parties.js'

/** What an agent is made of, where a policy names its checksum or registration. */
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

/** The agents of one issuer: an id is the same agent, with the same key, wherever it is named. */
export function createAgents(audience: string, now: () => number): AgentRegistry {
  const agents = new Map<string, { readonly agent: TestAgent; readonly key: TestKey }>()

  function register(id: string, { definition, registrationId }: TestAgentOptions = {}) {
    const key = generateKey()
    // Throws a TypeError that names the member which has no checksum.
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
      // With another key it would be another agent: tokens and delegations made before would be void.
      if (known && options) throw new TypeError(`agent "${id}" is registered already: options come first`)
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
