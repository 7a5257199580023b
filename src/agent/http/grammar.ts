/**
 * The grammars of what goes into requests, tokens and hashes. Each function returns the value it was given,
 * or throws a TypeError that names the place.
 */

/** An id that enters a `|`-joined hash: a `|` in it could make two different chains hash alike. */
export function agentId(value: unknown, path: string): string {
  return matching(
    value,
    path,
    /^[\x20-\x7b\x7d\x7e]{1,256}$/,
    '1 to 256 characters of printable ASCII without |',
  )
}

/** A step id also stands in a space-separated list, so a blank would make two steps of it. */
export function stepId(value: unknown, path: string): string {
  return matching(value, path, /^[\x21-\x7b\x7d\x7e]{1,256}$/, 'printable ASCII without blanks and |')
}

export function workflowId(value: unknown, path: string): string {
  return matching(value, path, /^[\x20-\x7e]{1,256}$/, '1 to 256 characters of printable ASCII')
}

/** A base64url SHA-256: an intent hash, a key thumbprint. */
export function digest(value: unknown, path: string): string {
  return matching(value, path, /^[A-Za-z0-9_-]{43}$/, 'a base64url SHA-256 of 43 characters')
}

/** A well-formed string: a lone surrogate has no UTF-8 form, so nothing could hash or send it. */
export function text(value: unknown, path: string): string {
  if (typeof value !== 'string') throw new TypeError(`${path} must be a string`)
  if (/\p{Surrogate}/u.test(value)) throw new TypeError(`${path} holds a lone surrogate`)
  return value
}

/** A scope (RFC 6749 section 3.3) as a sorted set: the order asked for in carries no meaning. */
export function scopeSet(value: unknown, path: string): string[] {
  const list = typeof value === 'string' ? value.split(' ').filter((item) => item !== '') : value
  if (!Array.isArray(list)) throw new TypeError(`${path} must be a string or an array of strings`)
  for (const item of list) matching(item, path, /^[\x21\x23-\x5b\x5d-\x7e]+$/, 'scope tokens of RFC 6749')
  return [...new Set<string>(list)].sort()
}

/** An audience or resource: an absolute URI, or a name without blanks. */
export function audience(value: unknown, path: string): string {
  return matching(value, path, /^[\x21-\x7e]+$/, 'printable ASCII without blanks')
}

export function audiences(value: unknown, path: string): string[] {
  const list = Array.isArray(value) ? value : [value]
  if (list.length === 0) throw new TypeError(`${path} must not be empty`)
  return list.map((item) => audience(item, path))
}

/** A URL that may carry a credential: https, or http on loopback, or http where it was allowed in words. */
export function safeUrl(value: unknown, path: string, allowInsecureHttp: boolean): URL {
  const url = URL.canParse(String(value)) ? new URL(String(value)) : undefined
  if (!url) throw new TypeError(`${path} must be an absolute URL`)
  if (url.username || url.password) throw new TypeError(`${path} must hold no user or password`)
  const loopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname)
  if (url.protocol === 'https:' || (url.protocol === 'http:' && (loopback || allowInsecureHttp))) return url
  throw new TypeError(`${path} must be an https URL`)
}

function matching(value: unknown, path: string, grammar: RegExp, what: string): string {
  if (typeof value === 'string' && grammar.test(value)) return value
  throw new TypeError(`${path} must be ${what}`)
}
