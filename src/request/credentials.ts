import { trimBlanks } from '../lib/strings.js'
import { describe, Refusal } from '../refusal.js'
import { parameterValues } from './query.js'
import type { RequestFacts } from './request.js'

/** An access token as it came: nothing about it is known yet. */
export interface Credentials {
  readonly scheme: 'dpop' | 'bearer'
  readonly unverifiedToken: string
}

/**
 * The credentials of a request, or why there are none to go on with: exactly one `Authorization` field with one
 * scheme and one token (RFC 6750 section 2, RFC 9449 section 7.1, RFC 9110 section 11).
 */
export function readCredentials(request: RequestFacts): Credentials | Refusal {
  const inQuery = hasTokenInQuery(request.query)
  if (request.authorization.length === 0) {
    return missing(inQuery ? 'a token in the query does not count' : 'the request has no Authorization field')
  }
  if (request.authorization.length > 1) return ambiguous('the request has two Authorization fields')
  if (inQuery) return ambiguous('the request has a token in the query beside the Authorization field')
  const field = request.authorization[0] as string
  if (field === '') return missing('the Authorization field is empty')
  const blank = field.indexOf(' ')
  const scheme = (blank < 0 ? field : field.slice(0, blank)).toLowerCase()
  if (blank === 0) return ambiguous('the Authorization field begins with a blank')
  if (scheme !== 'dpop' && scheme !== 'bearer') {
    if (/,\s*(dpop|bearer)\s/i.test(field)) return ambiguous('the Authorization field holds two credentials')
    return new Refusal('scheme_unsupported', {
      reason: 'the Authorization scheme is neither DPoP nor Bearer',
      expected: 'DPoP or Bearer',
      // A field without a blank may be a bare token, which belongs in no log.
      found: blank < 0 ? 'one word' : describe(scheme.slice(0, 16)),
      unverified: true,
    })
  }
  const unverifiedToken = blank < 0 ? '' : trimBlanks(field.slice(blank))
  if (unverifiedToken.includes(' ') || unverifiedToken.includes(',')) {
    return ambiguous('the Authorization field holds more than one token')
  }
  return { scheme, unverifiedToken }
}

function missing(reason: string): Refusal {
  return new Refusal('credentials_missing', { reason })
}

function ambiguous(reason: string): Refusal {
  return new Refusal('credentials_ambiguous', { reason })
}

/** Whether a request shows no sign of credentials at all. */
export function hasNoCredentials(request: RequestFacts): boolean {
  return request.authorization.length === 0 && request.dpop.length === 0 && !hasTokenInQuery(request.query)
}

/** RFC 6750 section 2.3 is not supported: such a token ends up in logs (RFC 9700 section 4.3.2). */
function hasTokenInQuery(query: string): boolean {
  return query !== '' && parameterValues(query, 'access_token').length > 0
}
