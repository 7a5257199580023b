import { sharedInProcess } from '../lib/copies.js'
import { maxDepth } from '../lib/plain-data.js'
import { formatPath, PolicyError, type PolicyIssue } from './error.js'

/** Where something stands in a file. Lines and columns count from 1, columns in UTF-16 code units. */
export interface Place {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** Offsets in the text of one object or array of a file. */
interface Source {
  readonly placeOf: (offset: number) => Place
  readonly start: number
  readonly members: ReadonlyMap<PropertyKey, { readonly name: number; readonly value: number }>
}

/** Every object and array that was read from a file: a policy that is put together from several keeps its places. */
const sources = sharedInProcess('policy sources', () => new WeakMap<object, Source>())

const blanks = /[ \t\n\r]*/y
const scalar =
  /"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y

/**
 * Reads JSON (RFC 8259) and remembers where everything stands. Throws a PolicyError with line and column where it is
 * not JSON, and where a member stands twice in one object: of two, most readers take the last in silence.
 */
export function readJson(text: string, file: string): unknown {
  const placeOf = (offset: number): Place => {
    const before = text.slice(0, offset)
    const lineStart = before.lastIndexOf('\n') + 1
    return { file, line: before.split('\n').length, column: offset - lineStart + 1 }
  }
  const repeated: PolicyIssue[] = []
  let at = 0

  function fail(message: string): never {
    throw new PolicyError([...repeated, { path: '', message, ...placeOf(at) }])
  }

  function match(pattern: RegExp): string | undefined {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    at += found?.length ?? 0
    return found
  }

  /** Skips blanks, and the mark where it is there. */
  function takes(mark: string): boolean {
    match(blanks)
    if (text[at] !== mark) return false
    at += 1
    return true
  }

  function readValue(path: readonly PropertyKey[]): unknown {
    if (path.length > maxDepth) fail(`nests more than ${maxDepth} levels`)
    const start = skipBlanks()
    if (takes('{')) return readObject(path, start)
    if (takes('[')) return readArray(path, start)
    return JSON.parse(match(scalar) ?? fail(explain(text[at], 'a value')))
  }

  function readObject(path: readonly PropertyKey[], start: number): unknown {
    const value: Record<string, unknown> = {}
    const members = new Map<string, { name: number; value: number }>()
    while (members.size > 0 || !takes('}')) {
      const name = skipBlanks()
      const key = readName()
      const member = { name, value: skipBlanks() }
      const content = readValue([...path, key])
      const first = members.get(key)
      if (first !== undefined) {
        const { line, column } = placeOf(first.name)
        const message = `stands twice in one object, first at ${line}:${column}: remove one of them`
        repeated.push({ path: formatPath([...path, key]), message, ...placeOf(name) })
      }
      members.set(key, first ?? member)
      // By definition, and not by assignment, which "__proto__" would take for the prototype.
      Object.defineProperty(value, key, {
        value: content,
        enumerable: true,
        configurable: true,
        writable: true,
      })
      if (takes('}')) break
      if (!takes(',')) fail(explain(text[at], '"," or "}"'))
    }
    sources.set(value, { placeOf, start, members })
    return value
  }

  /** A name and the colon behind it. */
  function readName(): string {
    const quoted = text[at] === '"' ? match(scalar) : undefined
    const name: string = JSON.parse(quoted ?? fail(explain(text[at], 'a name in double quotes')))
    if (!takes(':')) fail(`must have ":" behind the name ${quoted}`)
    return name
  }

  function readArray(path: readonly PropertyKey[], start: number): unknown {
    const value: unknown[] = []
    const members = new Map<number, { name: number; value: number }>()
    while (value.length > 0 || !takes(']')) {
      const offset = skipBlanks()
      members.set(value.length, { name: offset, value: offset })
      value.push(readValue([...path, value.length]))
      if (takes(']')) break
      if (!takes(',')) fail(explain(text[at], '"," or "]"'))
    }
    sources.set(value, { placeOf, start, members })
    return value
  }

  function skipBlanks(): number {
    match(blanks)
    return at
  }

  const value = readValue([])
  skipBlanks()
  if (at < text.length) fail('has more text behind its end')
  if (repeated.length > 0) throw new PolicyError(repeated)
  return value
}

/** What a person probably meant by a character that JSON does not have there. */
function explain(found: string | undefined, expected: string): string {
  if (found === undefined) return `ends where ${expected} should stand`
  if (found === '/' || found === '#') return 'JSON has no comments'
  if (found === "'") return 'JSON has double quotes only'
  if (found === '}' || found === ']')
    return `${expected} should stand here: JSON has no comma behind the last one`
  if (found === '"')
    return `${expected} should stand here, or this text does not end, or has an escape that JSON does not have`
  return `${expected} should stand here`
}

/**
 * Where the value, or the name, of this path of a policy stands in the file that it was read from; what is missing is
 * where the object around it begins. Undefined for what no file holds.
 */
export function locate(
  root: unknown,
  path: readonly PropertyKey[],
  part: 'name' | 'value',
): Place | undefined {
  let place = placeOfStart(root)
  let value = root
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return place
    const source = sources.get(value)
    const member = source?.members.get(key)
    const next: unknown = Object.hasOwn(value, key) ? (value as Record<PropertyKey, unknown>)[key] : undefined
    if (source === undefined) place = placeOfStart(next)
    else place = source.placeOf(member?.[part] ?? source.start)
    value = next
  }
  return place
}

function placeOfStart(value: unknown): Place | undefined {
  const source = typeof value === 'object' && value !== null ? sources.get(value) : undefined
  return source?.placeOf(source.start)
}
