import { sharedInProcess } from '../lib/copies.js'
import { maxDepth } from '../lib/plain-data.js'
import { formatPath, PolicyError, type PolicyIssue } from './error.js'

/** A position in a file. Lines and columns count from 1, columns in UTF-16 code units. */
export interface Position {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** The offsets of one object or array in the text of its file. */
interface Source {
  readonly positionOf: (offset: number) => Position
  readonly start: number
  readonly members: ReadonlyMap<PropertyKey, { readonly name: number; readonly value: number }>
}

/** By object or array that was read from a file, so that a policy can be built from several files. */
const sources = sharedInProcess('policy sources', () => new WeakMap<object, Source>())

const whitespace = /[ \t\n\r]*/y
const scalar =
  /"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y

/**
 * Parses JSON (RFC 8259) and records the position of every member. Throws PolicyError with line and column
 * if the text is not JSON or an object has a member twice, of which most parsers silently keep the last.
 */
export function readJson(text: string, file: string): unknown {
  const positionOf = (offset: number): Position => {
    const before = text.slice(0, offset)
    const lineStart = before.lastIndexOf('\n') + 1
    return { file, line: before.split('\n').length, column: offset - lineStart + 1 }
  }
  const repeated: PolicyIssue[] = []
  let at = 0

  function fail(message: string): never {
    throw new PolicyError([...repeated, { path: '', message, ...positionOf(at) }])
  }

  function match(pattern: RegExp): string | undefined {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    at += found?.length ?? 0
    return found
  }

  /** Skips whitespace, and the character if it is next. */
  function skip(character: string): boolean {
    match(whitespace)
    if (text[at] !== character) return false
    at += 1
    return true
  }

  function readValue(path: readonly PropertyKey[]): unknown {
    if (path.length > maxDepth) fail(`nests more than ${maxDepth} levels`)
    const start = skipWhitespace()
    if (skip('{')) return readObject(path, start)
    if (skip('[')) return readArray(path, start)
    return JSON.parse(match(scalar) ?? fail(explain(text[at], 'a value')))
  }

  function readObject(path: readonly PropertyKey[], start: number): unknown {
    const value: Record<string, unknown> = {}
    const members = new Map<string, { name: number; value: number }>()
    while (members.size > 0 || !skip('}')) {
      const name = skipWhitespace()
      const key = readName()
      const member = { name, value: skipWhitespace() }
      const content = readValue([...path, key])
      const first = members.get(key)
      if (first !== undefined) {
        const { line, column } = positionOf(first.name)
        const message = `occurs twice in one object, first at ${line}:${column}: remove one of them`
        repeated.push({ path: formatPath([...path, key]), message, ...positionOf(name) })
      }
      members.set(key, first ?? member)
      // An assignment to "__proto__" would set the prototype.
      Object.defineProperty(value, key, {
        value: content,
        enumerable: true,
        configurable: true,
        writable: true,
      })
      if (skip('}')) break
      if (!skip(',')) fail(explain(text[at], '"," or "}"'))
    }
    sources.set(value, { positionOf, start, members })
    return value
  }

  /** Reads a name and the colon after it. */
  function readName(): string {
    const quoted = text[at] === '"' ? match(scalar) : undefined
    const name: string = JSON.parse(quoted ?? fail(explain(text[at], 'a name in double quotes')))
    if (!skip(':')) fail(`expected ":" after the name ${quoted}`)
    return name
  }

  function readArray(path: readonly PropertyKey[], start: number): unknown {
    const value: unknown[] = []
    const members = new Map<number, { name: number; value: number }>()
    while (value.length > 0 || !skip(']')) {
      const offset = skipWhitespace()
      members.set(value.length, { name: offset, value: offset })
      value.push(readValue([...path, value.length]))
      if (skip(']')) break
      if (!skip(',')) fail(explain(text[at], '"," or "]"'))
    }
    sources.set(value, { positionOf, start, members })
    return value
  }

  function skipWhitespace(): number {
    match(whitespace)
    return at
  }

  const value = readValue([])
  skipWhitespace()
  if (at < text.length) fail('has text after the end of the JSON value: remove it')
  if (repeated.length > 0) throw new PolicyError(repeated)
  return value
}

/** Explains an unexpected character by its most likely cause. */
function explain(found: string | undefined, expected: string): string {
  if (found === undefined) return `ends too early: expected ${expected}`
  if (found === '/' || found === '#') return 'JSON does not allow comments: remove the comment'
  if (found === "'") return 'JSON needs double quotes'
  if (found === '}' || found === ']')
    return `expected ${expected}: JSON does not allow a comma after the last element`
  if (found === '"')
    return `expected ${expected}, or this string is not closed, or has an escape that JSON does not allow`
  return `expected ${expected}`
}

/**
 * The position of the value, or of the name, at this path of a policy. For a missing member, the start of
 * its object. Undefined for a policy that was not read from a file.
 */
export function locate(
  root: unknown,
  path: readonly PropertyKey[],
  part: 'name' | 'value',
): Position | undefined {
  let position = startOf(root)
  let value = root
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return position
    const source = sources.get(value)
    const member = source?.members.get(key)
    const next: unknown = Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined
    if (source === undefined) position = startOf(next)
    else position = source.positionOf(member?.[part] ?? source.start)
    value = next
  }
  return position
}

function startOf(value: unknown): Position | undefined {
  const source = typeof value === 'object' && value !== null ? sources.get(value) : undefined
  return source?.positionOf(source.start)
}
