import { decodeUtf8 } from '#runtime'
import type { Json, JsonMembers } from '../lib/json.js'
import { isObject } from '../lib/objects.js'

/** The deepest nesting of objects and arrays. */
const maxDepth = 32

const loneSurrogate = /\p{Cs}/u

const QUOTE = 0x22
const COLON = 0x3a
const BACKSLASH = 0x5c

export interface JsonObject {
  readonly members: JsonMembers
  /** All objects and arrays, to be frozen before they are shared. */
  readonly containers: readonly object[]
  /** The number of values in them, for the estimate of their memory. */
  readonly valueCount: number
}

/**
 * Parses a JSON object, given one character per byte. Undefined for anything that two parsers could read
 * differently: invalid UTF-8, a byte order mark, text around the object, a member name twice in one object
 * (RFC 7515 section 4), a number beyond a double, half of a surrogate pair, nesting beyond 32 levels.
 */
export function parseJsonObject(bytes: string): JsonObject | undefined {
  const text = decodeUtf8(bytes)
  if (text === undefined) return undefined
  let value: Json
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isObject(value)) return undefined
  const content: Content = { containers: [], names: 0, values: 0 }
  if (!collect(value, 1, content) || !hasNames(text, content.names)) return undefined
  if (text.includes('\\') && hasLoneSurrogate(value)) return undefined
  return { members: value, containers: content.containers, valueCount: content.values }
}

interface Content {
  containers: object[]
  /** Members of objects. */
  names: number
  /** Members and elements of arrays. */
  values: number
}

/** Collects objects and counts members. False for deep nesting or an infinite number. */
function collect(value: object, depth: number, content: Content): boolean {
  if (depth > maxDepth) return false
  content.containers.push(value)
  const members: unknown[] = Object.values(value)
  content.values += members.length
  if (!Array.isArray(value)) content.names += members.length
  for (const member of members) {
    if (typeof member === 'number' && !Number.isFinite(member)) return false
    if (typeof member === 'object' && member !== null && !collect(member, depth + 1, content)) return false
  }
  return true
}

/** Whether a JSON text, of which this is the value, has a name twice in one object. */
export function hasRepeatedName(text: string, value: unknown): boolean {
  let names = 0
  const open: unknown[] = [value]
  while (open.length > 0) {
    const item = open.pop()
    if (typeof item !== 'object' || item === null) continue
    const members = Object.values(item)
    if (!Array.isArray(item)) names += members.length
    for (const member of members) open.push(member)
  }
  return !hasNames(text, names)
}

/** The same for a text alone. False for text that is no JSON. */
export function hasMemberTwice(text: string): boolean {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return false
  }
  return hasRepeatedName(text, value)
}

/**
 * Whether the text has as many names as the value has members. It has more exactly where a name occurs twice
 * in an object, because the parser keeps the last member only.
 */
function hasNames(text: string, members: number): boolean {
  return countNamesOrMore(text) === members || countNames(text) === members
}

/** A fast upper bound of the names in a JSON text: colons behind a quote or a blank, in strings as well. */
function countNamesOrMore(text: string): number {
  let count = 0
  for (let at = text.indexOf(':'); at >= 0; at = text.indexOf(':', at + 1)) {
    const before = text.charCodeAt(at - 1)
    if (before === QUOTE || isBlank(before)) count++
  }
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

/** JSON whitespace. */
function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0a || code === 0x0d
}

/** In UTF-8 only an escape can write a lone surrogate. */
function hasLoneSurrogate(value: unknown): boolean {
  if (typeof value === 'string') return loneSurrogate.test(value)
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).some(([name, member]) => loneSurrogate.test(name) || hasLoneSurrogate(member))
}
