import { Buffer, isUtf8 } from 'node:buffer'
import { maxDepth, parsePlainObject } from './plain-json.js'

const loneSurrogate = /\p{Cs}/u

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** Printable ASCII without a backslash: in it, every quote begins or ends a string. */
const plainText = /^[ -[\]-~]*$/

/**
 * The JSON object in these bytes, one character a byte; undefined where it is anything that two readers could take
 * differently: not UTF-8, a byte order mark, text around it, a member name twice in one object (RFC 7515 section 4),
 * a number beyond a double, half of a surrogate pair, or nesting beyond 32 levels.
 */
export function parseJsonObject(bytes: string): Record<string, unknown> | undefined {
  const isPlain = plainText.test(bytes)
  const plain = isPlain ? parsePlainObject(bytes) : undefined
  if (plain !== undefined) return plain
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
