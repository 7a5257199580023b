import { Buffer } from 'node:buffer'

/**
 * A text without the blanks around it. A loop and no pattern: `/ +$/` looks at a run of blanks in the middle again
 * from each of them, and a field may hold sixteen thousand.
 */
export function trimBlanks(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && text.charCodeAt(start) === 0x20) start++
  while (end > start && text.charCodeAt(end - 1) === 0x20) end--
  return text.slice(start, end)
}

const room = Buffer.allocUnsafeSlow(16 * 1024)

/** A text of at most 16 KiB of ASCII by itself: a slice keeps the whole text that it was cut from in memory. */
export function copyAscii(text: string): string {
  return room.toString('latin1', 0, room.write(text, 'latin1'))
}

/** Control characters and halves of a surrogate pair: in no name that two readers take for the same. */
const unfitForName = /[\p{Cc}\p{Cs}]/u

/** Whether this can be the `sub` or `jti` of an OAuth token: 1 to 256 characters (RFC 7519 StringOrURI). */
export function isSubject(value: unknown): value is string {
  if (isIdentifier(value)) return true
  return (
    typeof value === 'string' &&
    value !== '' &&
    value.length <= 512 &&
    [...value].length <= 256 &&
    !unfitForName.test(value)
  )
}

const SPACE = 0x20
const TILDE = 0x7e

/**
 * Whether this can be the id of something: 1 to 256 characters of printable ASCII. A loop and no pattern: it is through
 * with a short text before a pattern has begun.
 */
export function isIdentifier(value: unknown): value is string {
  if (typeof value !== 'string' || value.length === 0 || value.length > 256) return false
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at)
    if (code < SPACE || code > TILDE) return false
  }
  return true
}
