/**
 * Grammars of values in requests, tokens and hashes. Each function throws a TypeError that contains `path` if
 * the value does not match.
 */

/**
 * Ids are joined with `|` and hashed: an id that contains `|` could give two different chains the same hash.
 */
export function parseAgentId(value: unknown, path: string): string {
  return parsePattern(
    value,
    path,
    /^[\x20-\x7b\x7d\x7e]{1,256}$/,
    '1 to 256 characters of printable ASCII without |',
  )
}

/** A step id is also used in a space-separated list, so it must not contain a space. */
export function parseStepId(value: unknown, path: string): string {
  return parsePattern(value, path, /^[\x21-\x7b\x7d\x7e]{1,256}$/, 'printable ASCII without spaces and |')
}

export function parseWorkflowId(value: unknown, path: string): string {
  return parsePattern(value, path, /^[\x20-\x7e]{1,256}$/, '1 to 256 characters of printable ASCII')
}

/** A base64url SHA-256, such as an intent hash or a key thumbprint. */
export function parseSha256(value: unknown, path: string): string {
  return parsePattern(value, path, /^[A-Za-z0-9_-]{43}$/, 'a base64url SHA-256 of 43 characters')
}

/** A well-formed string. A lone surrogate has no UTF-8 form, so it cannot be hashed or sent. */
export function parseText(value: unknown, path: string): string {
  if (typeof value !== 'string') throw new TypeError(`${path} must be a string`)
  if (/\p{Surrogate}/u.test(value)) throw new TypeError(`${path} contains a lone surrogate`)
  return value
}

/** A scope (RFC 6749 section 3.3) as a sorted set. The order has no meaning. */
export function parseScope(value: unknown, path: string): string[] {
  const list = typeof value === 'string' ? value.split(' ').filter((item) => item !== '') : value
  if (!Array.isArray(list)) throw new TypeError(`${path} must be a string or an array of strings`)
  const tokens = list.map((item) =>
    parsePattern(item, path, /^[\x21\x23-\x5b\x5d-\x7e]+$/, 'scope tokens of RFC 6749'),
  )
  return [...new Set(tokens)].sort()
}

/** An audience or resource: an absolute URI, or a name without spaces. */
export function parseAudience(value: unknown, path: string): string {
  return parsePattern(value, path, /^[\x21-\x7e]+$/, 'printable ASCII without spaces')
}

export function parseAudiences(value: unknown, path: string): string[] {
  const list = Array.isArray(value) ? value : [value]
  if (list.length === 0) throw new TypeError(`${path} must not be empty`)
  return list.map((item) => parseAudience(item, path))
}

/** A URL that credentials may be sent to: https, or http on loopback or if `allowInsecureHttp` is set. */
export function parseSafeUrl(value: unknown, path: string, allowInsecureHttp: boolean): URL {
  const url = URL.canParse(String(value)) ? new URL(String(value)) : undefined
  if (!url) throw new TypeError(`${path} must be an absolute URL`)
  if (url.username || url.password) throw new TypeError(`${path} must not contain a user or password`)
  const loopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname)
  if (url.protocol === 'https:' || (url.protocol === 'http:' && (loopback || allowInsecureHttp))) return url
  throw new TypeError(`${path} must be an https URL`)
}

function parsePattern(value: unknown, path: string, pattern: RegExp, expected: string): string {
  if (typeof value === 'string' && pattern.test(value)) return value
  throw new TypeError(`${path} must be ${expected}`)
}
