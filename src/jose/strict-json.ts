import { Buffer, isUtf8 } from 'node:buffer'

/** Objects and arrays within each other. */
const maxDepth = 32

const loneSurrogate = /\p{Cs}/u

/** Printable ASCII without a backslash: in it, every quote begins or ends a string. */
const plainText = /^[ -[\]-~]*$/

const QUOTE = 0x22
const COLON = 0x3a
const BACKSLASH = 0x5c

/**
 * The JSON object in these bytes, one character a byte; undefined where it is anything that two readers could take
 * differently: not UTF-8, a byte order mark, text around it, a member name twice in one object (RFC 7515 section 4),
 * a number beyond a double, half of a surrogate pair, or nesting beyond 32 levels.
 */
export function parseJsonObject(bytes: string): Record<string, unknown> | undefined {
  const isPlain = plainText.test(bytes)
  const text = isPlain ? bytes : decodeUtf8(bytes)
  if (text === undefined) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  if (!hasEachNameOnce(text, isPlain, value)) return undefined
  return text.includes('\\') && hasLoneSurrogate(value) ? undefined : (value as Record<string, unknown>)
}

/**
 * Whether no object in the value has a name twice in its text. Of two members with one name the parser keeps the last
 * alone: then the text has more names than the value has members, and only then.
 */
function hasEachNameOnce(text: string, isPlain: boolean, value: object): boolean {
  const members = countMembers(value, 1)
  return (isPlain && countNamesOrMore(text) === members) || countNames(text) === members
}

/** The members in a value; NaN, which equals no count, where it nests too deep or holds an infinite number. */
function countMembers(value: object, depth: number): number {
  if (depth > maxDepth) return Number.NaN
  const members: unknown[] = Object.values(value)
  let count = Array.isArray(value) ? 0 : members.length
  for (const member of members) {
    if (typeof member === 'object' && member !== null) count += countMembers(member, depth + 1)
    else if (typeof member === 'number' && !Number.isFinite(member)) return Number.NaN
  }
  return count
}

/**
 * No fewer than the names in a plain text, in a fraction of the time: the quotes before a colon. More where a string
 * begins with one; NaN where a blank may stand between.
 */
function countNamesOrMore(text: string): number {
  if (text.includes('" ')) return Number.NaN
  let count = 0
  for (let at = text.indexOf('":'); at >= 0; at = text.indexOf('":', at + 2)) count++
  return count
}

/** The names in a JSON text: the strings before a colon. */
function countNames(text: string): number {
  let count = 0
  for (let at = 0; at < text.length; at++) {
    if (text.charCodeAt(at) !== QUOTE) continue
    for (at++; text.charCodeAt(at) !== QUOTE; at++) if (text.charCodeAt(at) === BACKSLASH) at++
    let next = at + 1
    while (isBlank(text.charCodeAt(next))) next++
    if (text.charCodeAt(next) === COLON) count++
  }
  return count
}

/** Space, tab, line feed or carriage return: what may stand between the parts of JSON. */
function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0a || code === 0x0d
}

/** Without the check, bytes that are not UTF-8 would be read as U+FFFD. */
function decodeUtf8(bytes: string): string | undefined {
  const buffer = Buffer.from(bytes, 'latin1')
  return isUtf8(buffer) ? buffer.toString('utf8') : undefined
}

/** Only an escape can write half of a surrogate pair in UTF-8. */
function hasLoneSurrogate(value: unknown): boolean {
  if (typeof value === 'string') return loneSurrogate.test(value)
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).some(([name, member]) => loneSurrogate.test(name) || hasLoneSurrogate(member))
}
