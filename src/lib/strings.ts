/** Trims blanks (U+0020). A loop, because `/ +$/` takes quadratic time on a long run of blanks. */
export function trimBlanks(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && text.charCodeAt(start) === 0x20) start++
  while (end > start && text.charCodeAt(end - 1) === 0x20) end--
  return text.slice(start, end)
}

/** Control characters and lone surrogates, which JSON parsers and databases treat differently. */
const notAllowedInSubject = /[\p{Cc}\p{Cs}]/u

/**
 * Whether a value is a valid `sub` or `jti` under profile `oauth`: 1 to 256 characters (RFC 7519
 * StringOrURI).
 */
export function isSubject(value: unknown): value is string {
  if (isIdentifier(value)) return true
  return (
    typeof value === 'string' &&
    value !== '' &&
    value.length <= 512 &&
    [...value].length <= 256 &&
    !notAllowedInSubject.test(value)
  )
}

export function isStringArray(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

const SPACE = 0x20
const TILDE = 0x7e

/** Whether a value is an identifier of profile `ajwt`: 1 to 256 characters of printable ASCII. */
export function isIdentifier(value: unknown): value is string {
  if (typeof value !== 'string' || value.length === 0 || value.length > 256) return false
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at)
    if (code < SPACE || code > TILDE) return false
  }
  return true
}
