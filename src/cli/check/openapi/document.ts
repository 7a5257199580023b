import { dirname, join } from 'node:path'
import { type Document, isMap, isScalar, LineCounter, parseDocument } from 'yaml'
import { isObject } from '../../../lib/objects.js'
import { parsePointer } from '../../../policy/json-pointer.js'
import { readText } from '../../files.js'
import { UsageError } from '../../usage-error.js'

/** A file of an API description: JSON or YAML. */
interface LoadedFile {
  readonly file: string
  readonly content: unknown
  readonly document: Document
  readonly lines: LineCounter
}

/** A value in one of the files of an API description. */
export interface Located {
  readonly file: LoadedFile
  readonly path: readonly string[]
  readonly value: unknown
}

/** Lines and columns count from 1. */
export interface Place {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** Reads the files of an API description, each once. */
export interface Files {
  root(file: string): Located
  /** The value itself, or the one that its `$ref` points at. */
  follow(located: Located): Located
}

const maxReferences = 32

export function createFiles(): Files {
  const loaded = new Map<string, LoadedFile>()

  function load(file: string): LoadedFile {
    const known = loaded.get(file)
    if (known !== undefined) return known
    const read = readFile(file)
    loaded.set(file, read)
    return read
  }

  function follow(located: Located): Located {
    let current = located
    for (let count = 0; count < maxReferences; count++) {
      const reference = isObject(current.value) ? current.value.$ref : undefined
      if (typeof reference !== 'string') return current
      current = resolveReference(current, reference, load)
    }
    throw new UsageError(`${formatPlace(placeOf(located))}: its $ref comes back to itself`)
  }

  return {
    root(file) {
      const read = load(file)
      return { file: read, path: [], value: read.content }
    },
    follow,
  }
}

function readFile(file: string): LoadedFile {
  const lines = new LineCounter()
  const document = parseDocument(readText(file, 'openapi'), { lineCounter: lines })
  const [problem] = document.errors
  if (problem !== undefined) {
    const { line, col } = lines.linePos(problem.pos[0])
    // The rest of the message quotes the file.
    throw new UsageError(`${file}:${line}:${col}: ${problem.message.split(/ at line | \(|:?\n/, 1)[0]}`)
  }
  try {
    return { file, content: document.toJS({ maxAliasCount: 100 }), document, lines }
  } catch {
    throw new UsageError(`${file} has too many YAML aliases`)
  }
}

/** A `$ref` is a URI reference with a JSON pointer as its fragment (RFC 3986, RFC 6901 section 6). */
function resolveReference(from: Located, reference: string, load: (file: string) => LoadedFile): Located {
  const fail = (why: string): never => {
    throw new UsageError(`${formatPlace(placeOf(from))}: $ref ${JSON.stringify(reference)} ${why}`)
  }
  const [target = '', fragment = ''] = reference.split('#', 2)
  if (/^[a-z][a-z0-9+.-]*:/i.test(target))
    fail('is a URL, and nothing is fetched: make one file of the document, as with npx @redocly/cli bundle')
  const pointer = decode(fragment)
  if (pointer !== '' && !pointer.startsWith('/'))
    fail('has no JSON pointer, such as #/components/pathItems/Order')
  const file = target === '' ? from.file : load(join(dirname(from.file.file), decode(target)))
  const path = pointer === '' ? [] : parsePointer(pointer)
  let value = file.content
  for (const name of path) {
    if (!(isObject(value) || Array.isArray(value)) || !Object.hasOwn(value, name)) fail('points at nothing')
    value = Reflect.get(Object(value), name)
  }
  return { file, path, value }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** A member of an object. Undefined if there is none. */
export function memberOf({ file, path, value }: Located, name: string): Located | undefined {
  if (!isObject(value) || !Object.hasOwn(value, name)) return undefined
  return { file, path: [...path, name], value: value[name] }
}

export function membersOf(located: Located): readonly (readonly [name: string, member: Located])[] {
  const { file, path, value } = located
  if (!isObject(value)) return []
  return Object.entries(value).map(([name, member]) => [name, { file, path: [...path, name], value: member }])
}

/** The place of the name of a member. For a member of an alias: the place of the alias. */
export function placeOf({ file: { file, document, lines }, path }: Located): Place {
  let node: unknown = document.contents
  let offset = 0
  for (const name of path) {
    const pair = isMap(node)
      ? node.items.find(({ key }) => isScalar(key) && String(key.value) === name)
      : undefined
    if (!isScalar(pair?.key)) break
    offset = pair.key.range?.[0] ?? offset
    node = pair.value
  }
  const { line, col } = lines.linePos(offset)
  return { file, line, column: col }
}

function formatPlace({ file, line, column }: Place): string {
  return `${file}:${line}:${column}`
}
