import type { JsonMembers } from '../lib/json.js'
import type { CompiledIssuer } from '../policy/issuer.js'
import { resolvePointer } from '../policy/json-pointer.js'
import { idTokenClaims } from '../protocol/token-types.js'
import { describe, Refusal } from '../refusal.js'

const noParams = Object.freeze({})

/** Values of the claim `typ` by which Keycloak and others mark other tokens than access tokens. */
const otherTokenTyps: ReadonlySet<unknown> = new Set(['ID', 'Serialized-ID', 'Logout', 'Refresh', 'Offline'])

/**
 * Refuses other tokens than access tokens with `token_type_not_allowed`: ID tokens and logout tokens that
 * their `typ` does not exclude, and tokens that do not meet the `claims` of the issuer's entry.
 */
export function checkTokenKind(
  claims: JsonMembers,
  { token, constraints }: CompiledIssuer,
): Refusal | undefined {
  const claim = token.mayBeIdToken ? findIdTokenClaim(claims) : undefined
  if (claim !== undefined) {
    const reason = `${claim} is a claim of ID tokens, logout tokens and security events`
    return new Refusal('token_type_not_allowed', { reason, claim, found: describe(claims[claim]) })
  }
  for (const { name, pointer, check } of constraints) {
    const value = resolvePointer(claims, pointer)
    if (check(value, noParams)) continue
    const reason = "the token does not meet a constraint in claims of the issuer's entry"
    return new Refusal('token_type_not_allowed', { reason, claim: describe(name), found: describe(value) })
  }
  return undefined
}

function findIdTokenClaim(claims: JsonMembers): string | undefined {
  if (claims.token_use === 'id') return 'token_use'
  if (otherTokenTyps.has(claims.typ)) return 'typ'
  return idTokenClaims.find((name) => claims[name] !== undefined && claims[name] !== null)
}
