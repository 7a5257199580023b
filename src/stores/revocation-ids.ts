import type { VerifiedToken } from '../token/verify-token.js'

/**
 * Every id under which a token, or the delegation behind it, can be revoked. Ids are qualified, so that none
 * can be taken for another: no issuer holds a blank, so that what follows the first one is the id.
 */
export function revocationIdsOf({ token, assertions }: VerifiedToken): readonly string[] {
  const { issuer } = token
  const ids = [`token:${issuer} ${token.jti}`, `agent:${issuer} ${token.sub}`]
  if (token.registrationId !== undefined) ids.push(`registration:${issuer} ${token.registrationId}`)
  if (token.keyThumbprint !== undefined) ids.push(`key:${token.keyThumbprint}`)
  if (typeof assertions === 'string') return ids
  for (const assertion of assertions) {
    ids.push(`token:${issuer} ${assertion.jti}`)
    ids.push(`agent:${issuer} ${assertion.iss}`)
    ids.push(`key:${assertion.key.thumbprint}`)
  }
  return assertions.length === 0 ? ids : [...new Set(ids)]
}
