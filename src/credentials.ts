import type { DenialCode } from './denials.js'
import type { RequestFacts } from './request.js'
import { trimBlanks } from './text.js'

/** An access token as it came: nothing about it is known yet. */
export interface Credentials {
  readonly scheme: 'dpop' | 'bearer'
  readonly unverifiedToken: string
}

/**
 * The credentials of a request, or why there are none to go on with: exactly one `Authorization` field with one
 * scheme and one token (RFC 6750 section 2, RFC 9449 section 7.1, RFC 9110 section 11).
 */
export function readCredentials(request: RequestFacts): Credentials | DenialCode {
  const inQuery = hasTokenInQuery(request.query)
  if (request.authorization.length === 0) return 'credentials_missing'
  if (request.authorization.length > 1 || inQuery) return 'credentials_ambiguous'
  const field = request.authorization[0] as string
  if (field === '') return 'credentials_missing'
  const blank = field.indexOf(' ')
  const scheme = (blank < 0 ? field : field.slice(0, blank)).toLowerCase()
  if (blank === 0) return 'credentials_ambiguous'
  if (scheme !== 'dpop' && scheme !== 'bearer') {
    return /,\s*(dpop|bearer)\s/i.test(field) ? 'credentials_ambiguous' : 'scheme_unsupported'
  }
  const unverifiedToken = blank < 0 ? '' : trimBlanks(field.slice(blank))
  if (unverifiedToken.includes(' ') || unverifiedToken.includes(',')) return 'credentials_ambiguous'
  if (scheme === 'bearer' && request.dpop.length > 0) return 'credentials_ambiguous'
  return { scheme, unverifiedToken }
}

/** Whether a request shows no sign of credentials at all. */
export function hasNoCredentials(request: RequestFacts): boolean {
  return request.authorization.length === 0 && request.dpop.length === 0 && !hasTokenInQuery(request.query)
}

/** RFC 6750 section 2.3 is not supported: such a token ends up in logs (RFC 9700 section 4.3.2). */
function hasTokenInQuery(query: string): boolean {
  if (query === '' || !/access|%/.test(query)) return false
  // Some parsers read `access_token[]` as the same parameter.
  return [...new URLSearchParams(query).keys()].some((name) => /^access_token(\[|$)/.test(name))
}
