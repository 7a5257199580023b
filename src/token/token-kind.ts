import type { Json } from '../decision.js'
import type { CompiledIssuer } from '../policy/issuer.js'
import { resolvePointer } from '../policy/json-pointer.js'
import { idTokenClaims } from '../protocol/token-types.js'
import { describe, Refusal } from '../refusal.js'

const noParams = Object.freeze({})

/** Values of the claim `typ` by which some servers mark what is no access token. */
const otherTyps: ReadonlySet<unknown> = new Set(['ID', 'Logout', 'Refresh'])

/**
 * Whether a verified token is of another kind than an access token: an ID token or a logout token by its claims, where
 * its `typ` does not tell, or one that does not meet the `claims` of the issuer's entry. Refuses with
 * `token_type_not_allowed`.
 */
export function findOtherKind(
  claims: Readonly<Record<string, unknown>>,
  { token, constraints }: CompiledIssuer,
): Refusal | undefined {
  const mark = token.mayBeIdToken ? findMark(claims) : undefined
  if (mark !== undefined) {
    const reason = `${mark} is a claim of ID tokens, logout tokens and security events`
    return new Refusal('token_type_not_allowed', { reason, claim: mark, found: describe(claims[mark]) })
  }
  for (const { name, pointer, check } of constraints) {
    const value = resolvePointer(claims as Json, pointer)
    if (check(value, noParams)) continue
    const reason =
      "the token does not meet claims of the issuer's entry, which tell access tokens from others"
    return new Refusal('token_type_not_allowed', { reason, claim: describe(name), found: describe(value) })
  }
  return undefined
}

function findMark(claims: Readonly<Record<string, unknown>>): string | undefined {
  if (claims.token_use === 'id') return 'token_use'
  if (otherTyps.has(claims.typ)) return 'typ'
  return idTokenClaims.find((name) => claims[name] !== undefined && claims[name] !== null)
}
