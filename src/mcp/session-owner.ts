import type { Grant } from '../decision.js'

/**
 * The owner of an MCP session or task: the JSON array of issuer, subject, agent and initiator. A refreshed
 * token of the same run keeps it. No part of a token is in it.
 */
export function sessionOwner({ issuer, subject, agent, intent }: Grant): string {
  return JSON.stringify([issuer, subject, agent.id, intent.initiatedBy ?? null])
}
