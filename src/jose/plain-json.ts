/** Objects and arrays within each other. */
export const maxDepth = 32

const QUOTE = 0x22
const COMMA = 0x2c
const ZERO = 0x30
const NINE = 0x39
const COLON = 0x3a
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/** Where the reading of a text stands; one text at a time is read, and nothing on this path waits. */
let text = ''
let at = 0

/** Not read here: anything that a serialiser would not write, and whatever reads in two ways. */
const unread = Symbol('unread')

/**
 * The JSON object that a text is, where it is one as serialisers write it: without blanks between its parts, without a
 * member name twice in one object, with whole numbers only. Undefined for any other: that may still be JSON, and is
 * for the parser that reads all of it. Reading a token here, in one pass, takes half the time of parsing it and then
 * finding out whether it reads one way. The text has to be printable ASCII without a backslash, so that every quote in
 * it begins or ends a string.
 */
export function parsePlainObject(plainText: string): Record<string, unknown> | undefined {
  text = plainText
  at = 0
  const value = text.charCodeAt(0) === OPEN_BRACE ? readObject(1) : unread
  const isWhole = at === text.length
  text = ''
  return value === unread || !isWhole ? undefined : (value as Record<string, unknown>)
}

function readValue(depth: number): unknown {
  const code = text.charCodeAt(at)
  if (code === QUOTE) return readString()
  if (code >= ZERO && code <= NINE) return readNumber()
  if (code === OPEN_BRACE) return depth > maxDepth ? unread : readObject(depth)
  if (code === OPEN_BRACKET) return depth > maxDepth ? unread : readArray(depth)
  if (text.startsWith('true', at)) return readWord('true', true)
  if (text.startsWith('false', at)) return readWord('false', false)
  return text.startsWith('null', at) ? readWord('null', null) : unread
}

function readObject(depth: number): unknown {
  const members: Record<string, unknown> = {}
  if (text.charCodeAt(at + 1) === CLOSE_BRACE) {
    at += 2
    return members
  }
  let end = COMMA
  while (end === COMMA) {
    at++
    if (text.charCodeAt(at) !== QUOTE) return unread
    const name = readString()
    if (name === unread || text.charCodeAt(at) !== COLON) return unread
    // It came before, or a prototype has it, which may be frozen and then refuses the assignment.
    if (name in members) return unread
    at++
    const value = readValue(depth + 1)
    if (value === unread) return unread
    members[name as string] = value
    end = text.charCodeAt(at)
  }
  at++
  return end === CLOSE_BRACE ? members : unread
}

function readArray(depth: number): unknown {
  const items: unknown[] = []
  if (text.charCodeAt(at + 1) === CLOSE_BRACKET) {
    at += 2
    return items
  }
  let end = COMMA
  while (end === COMMA) {
    at++
    const item = readValue(depth + 1)
    if (item === unread) return unread
    items.push(item)
    end = text.charCodeAt(at)
  }
  at++
  return end === CLOSE_BRACKET ? items : unread
}

function readString(): string | typeof unread {
  const end = text.indexOf('"', at + 1)
  if (end < 0) return unread
  const string = text.slice(at + 1, end)
  at = end + 1
  return string
}

/** Whole, without a sign, a fraction or an exponent, and short enough to be exact; no number has a leading zero. */
function readNumber(): number | typeof unread {
  const start = at
  let code = text.charCodeAt(at)
  while (code >= ZERO && code <= NINE) code = text.charCodeAt(++at)
  const digits = at - start
  if (digits > 15 || (digits > 1 && text.charCodeAt(start) === ZERO)) return unread
  return Number(text.slice(start, at))
}

function readWord<T>(word: string, value: T): T {
  at += word.length
  return value
}
