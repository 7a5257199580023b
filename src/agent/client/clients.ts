import { strictCanonicalAgent } from '../definition.js'
import { type AgentClient, type AgentClientOptions, createAgentClient } from './client.js'

/**
 * The clients of all agents of one process. The authorization server knows an agent by its checksum, so two
 * agents of one checksum could act for each other.
 *
 * @throws TypeError naming two agents that have one checksum, or an option that is wrong
 */
export function clients(
  ...options: readonly (AgentClientOptions | readonly AgentClientOptions[])[]
): AgentClient[] {
  const all = options.flat()
  const positions = new Map<string, number>()
  for (const [at, { agent }] of all.entries()) {
    if (agent === undefined) continue
    const canonical = strictCanonicalAgent(agent)
    const other = positions.get(canonical)
    if (other !== undefined)
      throw new TypeError(
        `agents ${other + 1} and ${at + 1} ("${agent.id}") have one checksum: give each an id of its own`,
      )
    positions.set(canonical, at)
  }
  return all.map(createAgentClient)
}
