import { Buffer, isUtf8 } from 'node:buffer'

const maxDepth = 32

const loneSurrogate = /\p{Cs}/u

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const COLON = 0x3a
const COMMA = 0x2c
const ZERO = 0x30
const NINE = 0x39

/**
 * The JSON object in these bytes, one character a byte; undefined where it is anything that two readers could take
 * differently: not UTF-8, a byte order mark, text around it, a member name twice in one object (RFC 7515 section 4),
 * a number beyond a double, half of a surrogate pair, or nesting beyond 32 levels.
 */
export function parseJsonObject(bytes: string): Record<string, unknown> | undefined {
  const isPlain = plainText.test(bytes)
  const simple = isPlain ? parseSimpleObject(bytes) : undefined
  if (simple !== undefined) return simple
  const text = isPlain ? bytes : decodeUtf8(bytes)
  if (text === undefined) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  // Of two members with one name the parser keeps the last alone: then the text holds more strings than the value
  // does, and only then.
  if (countQuotes(text) !== 2 * countStrings(value, 1)) return undefined
  return text.includes('\\') && hasLoneSurrogate(value) ? undefined : (value as Record<string, unknown>)
}

/** Printable ASCII without a backslash: in it, every quote begins or ends a string. */
const plainText = /^[ -[\]-~]*$/

/**
 * What most proofs are: one object of strings and whole numbers, without blanks, as every serialiser writes it. Read
 * here in one pass, at half the cost of what it takes to parse any JSON and then to find out whether it reads one way.
 * Undefined where the plain text is anything else: that is read in the other way.
 */
function parseSimpleObject(text: string): Record<string, unknown> | undefined {
  const members: Record<string, unknown> = {}
  let at = 0
  let separator = OPEN_BRACE
  while (separator !== CLOSE_BRACE) {
    if (text.charCodeAt(at) !== separator || text.charCodeAt(at + 1) !== QUOTE) return undefined
    const nameEnd = text.indexOf('"', at + 2)
    const name = text.slice(at + 2, nameEnd)
    if (nameEnd < 0 || text.charCodeAt(nameEnd + 1) !== COLON) return undefined
    if (name === '__proto__' || Object.hasOwn(members, name)) return undefined
    const start = nameEnd + 2
    if (text.charCodeAt(start) === QUOTE) {
      const end = text.indexOf('"', start + 1)
      if (end < 0) return undefined
      members[name] = text.slice(start + 1, end)
      at = end + 1
    } else {
      at = endOfDigits(text, start)
      const digits = at - start
      // More of them might not be exact, and no number has a leading zero.
      if (digits === 0 || digits > 15 || (digits > 1 && text.charCodeAt(start) === ZERO)) return undefined
      members[name] = Number(text.slice(start, at))
    }
    separator = text.charCodeAt(at) === COMMA ? COMMA : CLOSE_BRACE
  }
  return text.charCodeAt(at) === CLOSE_BRACE && at === text.length - 1 ? members : undefined
}

function endOfDigits(text: string, start: number): number {
  let at = start
  for (let code = text.charCodeAt(at); code >= ZERO && code <= NINE; code = text.charCodeAt(++at));
  return at
}

/** The quotes that begin or end a string: what a backslash stands before is part of one. */
function countQuotes(text: string): number {
  let count = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) count++
    else if (code === BACKSLASH) at++
  }
  return count
}

/** Without the check, bytes that are not UTF-8 would be read as U+FFFD. */
function decodeUtf8(bytes: string): string | undefined {
  const buffer = Buffer.from(bytes, 'latin1')
  return isUtf8(buffer) ? buffer.toString('utf8') : undefined
}

/** Names and strings in a value; NaN, which equals no count, where it nests too deep or holds an infinite number. */
function countStrings(value: unknown, depth: number): number {
  if (typeof value === 'string') return 1
  if (typeof value === 'number') return Number.isFinite(value) ? 0 : Number.NaN
  if (typeof value !== 'object' || value === null) return 0
  if (depth > maxDepth) return Number.NaN
  let count = 0
  if (Array.isArray(value)) {
    for (const item of value) count += countStrings(item, depth + 1)
    return count
  }
  for (const name of Object.keys(value)) {
    count += 1 + countStrings((value as Record<string, unknown>)[name], depth + 1)
  }
  return count
}

/** Only an escape can write half of a surrogate pair in UTF-8. */
function hasLoneSurrogate(value: unknown): boolean {
  if (typeof value === 'string') return loneSurrogate.test(value)
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).some(([name, member]) => loneSurrogate.test(name) || hasLoneSurrogate(member))
}
