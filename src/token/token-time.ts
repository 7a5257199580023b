import type { DenialCode } from '../protocol/denials.js'
import { Refusal } from '../refusal.js'
import type { IntentToken } from './claims.js'

/** What the clock says of a token, with the tolerance on the side of neither (RFC 7519 sections 4.1.4 to 4.1.6). */
export function checkTokenTime(token: IntentToken, now: number): Refusal | undefined {
  const { iat, exp, nbf, limits } = token
  if (exp - iat > limits.maxLifetime) {
    const reason = `the token lives for ${Math.round(exp - iat)} s`
    return timeRefusal(
      token,
      'token_lifetime_exceeded',
      reason,
      'exp',
      `at most ${limits.maxLifetime} s`,
      exp,
    )
  }
  const latestStart = now + limits.clockTolerance
  if (iat > latestStart) {
    const reason = `iat lies ${Math.round(iat - now)} s ahead of this clock`
    return timeRefusal(token, 'token_not_yet_valid', reason, 'iat', `at most ${Math.floor(latestStart)}`, iat)
  }
  if (nbf !== undefined && nbf > latestStart) {
    const reason = `nbf lies ${Math.round(nbf - now)} s ahead of this clock`
    return timeRefusal(token, 'token_not_yet_valid', reason, 'nbf', `at most ${Math.floor(latestStart)}`, nbf)
  }
  if (now - limits.clockTolerance >= exp) {
    const reason = `the token expired ${Math.round(now - exp)} s ago`
    return timeRefusal(token, 'token_expired', reason, 'exp', `after ${Math.floor(now)}`, exp)
  }
  // Left over: a token that ends before it begins, both within the tolerance.
  if (exp >= iat) return undefined
  return timeRefusal(token, 'claims_invalid', 'exp lies before iat', 'exp', `at least ${iat}`, exp)
}

function timeRefusal(
  token: IntentToken,
  code: DenialCode,
  reason: string,
  claim: string,
  expected: string,
  found: number,
): Refusal {
  return new Refusal(code, { reason, claim, expected, found: String(found) }, undefined, token.agent)
}
