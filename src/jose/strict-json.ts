import { type Buffer, isUtf8 } from 'node:buffer'

const maxDepth = 32

const loneSurrogate = /\p{Cs}/u

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const COLON = 0x3a
const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39

/**
 * The JSON object in these bytes, or undefined where it is anything that two readers could take differently:
 * not UTF-8, a byte order mark, text around it, a member name twice in one object (RFC 7515 section 4), a
 * number beyond a double, half of a surrogate pair, or nesting beyond 32 levels.
 */
export function parseJsonObject(bytes: Buffer): Record<string, unknown> | undefined {
  // Without this check, bytes that are not UTF-8 would be read as U+FFFD.
  if (!isUtf8(bytes)) return undefined
  const text = bytes.toString('utf8')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return readsOneWay(text) ? (value as Record<string, unknown>) : undefined
}

/** Walks a text that JSON.parse has accepted, so that its grammar needs no second check. */
function readsOneWay(text: string): boolean {
  const open: (Set<string> | undefined)[] = []
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      const end = endOfString(text, at)
      const literal = text.slice(at + 1, end)
      let string = literal
      if (literal.includes('\\')) {
        string = JSON.parse(text.slice(at, end + 1))
        if (loneSurrogate.test(string)) return false
      }
      if (isFollowedByColon(text, end + 1)) {
        const names = open[open.length - 1]
        if (names === undefined || names.has(string)) return false
        names.add(string)
      }
      at = end
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      if (open.length === maxDepth) return false
      open.push(code === OPEN_BRACE ? new Set() : undefined)
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      open.pop()
    } else if (code === MINUS || (code >= ZERO && code <= NINE)) {
      let end = at + 1
      while (end < text.length && isNumberPart(text.charCodeAt(end))) end++
      if (!Number.isFinite(Number(text.slice(at, end)))) return false
      at = end - 1
    }
  }
  return true
}

function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  while (isEscaped(text, end)) end = text.indexOf('"', end + 1)
  return end
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0
  while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes++
  return backslashes % 2 === 1
}

function isFollowedByColon(text: string, at: number): boolean {
  let next = at
  while (text.charCodeAt(next) <= 0x20) next++
  return text.charCodeAt(next) === COLON
}

function isNumberPart(code: number): boolean {
  // Digits, "+", "-", ".", "E", "e".
  return (
    (code >= ZERO && code <= NINE) ||
    code === 0x2b ||
    code === MINUS ||
    code === 0x2e ||
    code === 0x45 ||
    code === 0x65
  )
}
