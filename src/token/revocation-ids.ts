import { isRefusal } from '../refusal.js'
import type { VerifiedToken } from './verify-token.js'

/**
 * Every id under which a token, or the delegation behind it, can be revoked. Ids are qualified, so that none
 * can be taken for another: no issuer holds a blank, so that what follows the first one is the id.
 */
export function revocationIdsOf({ token, assertions }: VerifiedToken): readonly string[] {
  const { issuer } = token
  const { initiatedBy, initiatorType } = token.intent
  const ids = [
    `token:${issuer} ${token.jti}`,
    `agent:${issuer} ${token.agent}`,
    `agent:${issuer} ${token.subject}`,
  ]
  if (token.registrationId !== undefined) ids.push(`registration:${issuer} ${token.registrationId}`)
  if (token.keyThumbprint !== undefined) ids.push(`key:${token.keyThumbprint}`)
  // A person is no agent, and may bear the name of one.
  if (initiatedBy !== undefined && initiatorType !== 'user') ids.push(`agent:${issuer} ${initiatedBy}`)
  if (isRefusal(assertions)) return [...new Set(ids)]
  for (const assertion of assertions) {
    ids.push(`token:${issuer} ${assertion.jti}`)
    ids.push(`agent:${issuer} ${assertion.iss}`)
    ids.push(`key:${assertion.key.thumbprint}`)
  }
  return [...new Set(ids)]
}

/** Under which the agents of a chain can be revoked. */
export function agentIdsOf(issuer: string, agents: readonly string[]): readonly string[] {
  return agents.map((agent) => `agent:${issuer} ${agent}`)
}
