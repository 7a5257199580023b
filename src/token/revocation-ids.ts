import { isRefusal } from '../refusal.js'
import type { VerifiedToken } from './verify-token.js'

/**
 * All ids under which a token or its delegation can be revoked. No issuer contains a space, so
 * qualified ids are unambiguous.
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
  // A person can have the same name as an agent.
  if (initiatedBy !== undefined && initiatorType !== 'user') ids.push(`agent:${issuer} ${initiatedBy}`)
  if (isRefusal(assertions)) return [...new Set(ids)]
  for (const assertion of assertions) {
    ids.push(`token:${issuer} ${assertion.jti}`)
    ids.push(`agent:${issuer} ${assertion.iss}`)
    ids.push(`key:${assertion.key.thumbprint}`)
  }
  return [...new Set(ids)]
}

/** The ids under which the agents of a chain can be revoked. */
export function agentRevocationIdsOf(issuer: string, agents: readonly string[]): readonly string[] {
  return agents.map((agent) => `agent:${issuer} ${agent}`)
}
