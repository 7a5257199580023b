import type { DenialCode } from '../protocol/denials.js'
import { type CheckObserver, Refusal } from '../refusal.js'
import type { TokenClaims } from './claims.js'

/** Checks the times of a token, within the clock tolerance (RFC 7519 sections 4.1.4 to 4.1.6). */
export function checkTokenTime(
  token: TokenClaims,
  now: number,
  observer?: CheckObserver,
): Refusal | undefined {
  const { iat, exp, nbf, limits } = token
  observer?.begin('lifetime', `at most ${limits.maxLifetime} s`, `${Math.round(exp - iat)} s`)
  if (exp - iat > limits.maxLifetime) {
    const reason = `the token is valid for ${Math.round(exp - iat)} s`
    const expected = `at most ${limits.maxLifetime} s`
    return timeRefusal(token, 'token_lifetime_exceeded', reason, 'exp', expected, exp)
  }
  const latestStart = now + limits.clockTolerance
  observer?.begin('not_before', `iat and nbf at most ${Math.floor(latestStart)}`, Math.max(iat, nbf ?? iat))
  if (iat > latestStart) {
    const reason = `iat is ${Math.round(iat - now)} s ahead of this clock`
    return timeRefusal(token, 'token_not_yet_valid', reason, 'iat', `at most ${Math.floor(latestStart)}`, iat)
  }
  if (nbf !== undefined && nbf > latestStart) {
    const reason = `nbf is ${Math.round(nbf - now)} s ahead of this clock`
    return timeRefusal(token, 'token_not_yet_valid', reason, 'nbf', `at most ${Math.floor(latestStart)}`, nbf)
  }
  observer?.begin('expiry', `exp after ${Math.floor(now)}`, exp)
  if (now - limits.clockTolerance >= exp) {
    const reason = `the token expired ${Math.round(now - exp)} s ago`
    return timeRefusal(token, 'token_expired', reason, 'exp', `after ${Math.floor(now)}`, exp)
  }
  // Both times are within the tolerance, and the token still ends before it begins.
  if (exp >= iat) return undefined
  return timeRefusal(token, 'claims_invalid', 'exp is before iat', 'exp', `at least ${iat}`, exp)
}

function timeRefusal(
  token: TokenClaims,
  code: DenialCode,
  reason: string,
  claim: string,
  expected: string,
  found: number,
): Refusal {
  return new Refusal(code, { reason, claim, expected, found: String(found) }, undefined, token.agent)
}
