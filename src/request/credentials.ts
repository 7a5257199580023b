import { trimBlanks } from '../lib/strings.js'
import { describe, Refusal } from '../refusal.js'
import { parameterValues } from './query.js'
import type { RequestFacts } from './request.js'

/** An access token as the request has it. Nothing about it is known yet. */
export interface Credentials {
  /** `field`: only the token, in the field that an issuer of the policy uses for its tokens. */
  readonly scheme: 'dpop' | 'bearer' | 'field'
  readonly unverifiedToken: string
  /** The name of that field, in lower case. */
  readonly field: string | undefined
  /** A Bearer token in `Authorization` beside that field. Allowed only if it is not for this API. */
  readonly besideToken: string | undefined
}

/**
 * Reads the credentials of a request: exactly one `Authorization` field with one scheme and one token (RFC
 * 6750 section 2, RFC 9449 section 7.1, RFC 9110 section 11), or one field that holds a token alone.
 */
export function readCredentials(request: RequestFacts): Credentials | Refusal {
  const [field, another] = request.tokenFields.filter(({ value }) => value !== '')
  if (field === undefined) return readAuthorization(request)
  if (another !== undefined) return ambiguous('the request has tokens in two fields')
  if (hasTokenInQuery(request.query)) return ambiguous('the request has a token in the query beside a field')
  const { name, value } = field
  if (/[ ,]/.test(value)) return ambiguous(`the field ${name} holds more than a token`)
  const beside = readBeside(request)
  if (beside instanceof Refusal) return beside
  return { scheme: 'field', unverifiedToken: value, field: name, besideToken: beside }
}

/** The Bearer token beside a field that holds a token. Other schemes belong to another party. */
function readBeside(request: RequestFacts): string | Refusal | undefined {
  if (request.authorization.length === 0) return undefined
  const other = readAuthorization(request)
  if (!(other instanceof Refusal))
    return other.scheme === 'bearer'
      ? other.unverifiedToken
      : ambiguous('the request has tokens in two fields')
  return other.code === 'credentials_ambiguous' ? other : undefined
}

/**
 * Reads credentials for a route with `anonymous: 'foreign'`: `true` for another scheme, the token for a
 * Bearer token that may belong to another party, `false` for everything else.
 */
export function readForeign(request: RequestFacts): boolean | string {
  const { authorization, dpop, tokenFields, query } = request
  if (authorization.length !== 1 || dpop.length > 0 || tokenFields.length > 0) return false
  if (hasTokenInQuery(query)) return false
  const credentials = readAuthorization(request)
  if (!(credentials instanceof Refusal))
    return credentials.scheme === 'bearer' ? credentials.unverifiedToken : false
  return credentials.code === 'scheme_unsupported'
}

function readAuthorization(request: RequestFacts): Credentials | Refusal {
  const inQuery = hasTokenInQuery(request.query)
  const [field, another] = request.authorization
  if (field === undefined) {
    return missing(inQuery ? 'a token in the query does not count' : 'the request has no Authorization field')
  }
  if (another !== undefined) return ambiguous('the request has two Authorization fields')
  if (inQuery) return ambiguous('the request has a token in the query beside the Authorization field')
  return readField(field)
}

/** The value of an `Authorization` field. */
function readField(field: string): Credentials | Refusal {
  if (field === '') return missing('the Authorization field is empty')
  const blank = field.indexOf(' ')
  const scheme = (blank < 0 ? field : field.slice(0, blank)).toLowerCase()
  if (blank === 0) return ambiguous('the Authorization field begins with a blank')
  if (scheme !== 'dpop' && scheme !== 'bearer') {
    if (/,\s*(dpop|bearer)\s/i.test(field)) return ambiguous('the Authorization field holds two credentials')
    return new Refusal('scheme_unsupported', {
      reason: 'the Authorization scheme is neither DPoP nor Bearer',
      expected: 'DPoP or Bearer',
      // A field without a blank may be a token: it must not be logged.
      found: blank < 0 ? 'one word' : describe(scheme.slice(0, 16)),
      unverified: true,
    })
  }
  const unverifiedToken = blank < 0 ? '' : trimBlanks(field.slice(blank))
  if (unverifiedToken.includes(' ') || unverifiedToken.includes(',')) {
    return ambiguous('the Authorization field holds more than one token')
  }
  return { scheme, unverifiedToken, field: undefined, besideToken: undefined }
}

function missing(reason: string): Refusal {
  return new Refusal('credentials_missing', { reason })
}

function ambiguous(reason: string): Refusal {
  return new Refusal('credentials_ambiguous', { reason })
}

/** Whether a request has no credentials of any kind. */
export function hasNoCredentials(request: RequestFacts): boolean {
  const { authorization, dpop, tokenFields, query } = request
  return authorization.length + dpop.length + tokenFields.length === 0 && !hasTokenInQuery(query)
}

/** A token in the query is never accepted: it ends up in logs (RFC 9700 section 4.3.2). */
function hasTokenInQuery(query: string): boolean {
  return query !== '' && parameterValues(query, 'access_token').length > 0
}
