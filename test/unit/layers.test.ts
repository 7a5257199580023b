import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, test } from 'vitest'

/**
 * The folders and loose files of `src`, from the bottom up. A line may import from the lines above it, types
 * included, and never from its own line.
 */
const layers: readonly (readonly string[])[] = [
  ['protocol', 'lib'],
  ['jws'],
  ['decision'],
  ['refusal'],
  ['stores'],
  ['request', 'keys'],
  ['policy'],
  ['dpop', 'delegation'],
  ['token'],
  ['rules'],
  ['routing'],
  ['response'],
  ['compile'],
  ['telemetry'],
  ['explain'],
  ['options'],
  ['grant'],
  ['pipeline'],
  ['engine'],
  ['verifier'],
  ['connection', 'watch'],
  ['upgrade', 'mcp'],
  ['index'],
]

/** Parts with an entry of their own, and all that each may import of the others. */
const apart: Readonly<Record<string, readonly string[]>> = {
  // The command may use every part. No part uses the command.
  cli: [
    'protocol',
    'lib',
    'policy',
    'compile',
    'routing',
    'rules',
    'verifier',
    'index',
    'explain',
    'refusal',
    'request',
    'keys',
    'stores',
    'options',
    'decision',
    'agent',
    'testing',
  ],
  agent: ['protocol', 'lib'],
  testing: ['agent', 'protocol', 'index'],
  'oidc-provider': ['agent', 'protocol', 'lib'],
}

/** The TypeScript files below a folder, but not those of installed packages. */
function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name === 'node_modules') return []
    if (entry.isDirectory()) return filesIn(join(folder, entry.name)).map((file) => `${entry.name}/${file}`)
    return entry.name.endsWith('.ts') ? entry.name : []
  })
}

const root = fileURLToPath(new URL('../../src/', import.meta.url))
const files = filesIn(root)
const texts = new Map(files.map((file) => [file, readFileSync(join(root, file), 'utf8')]))

const manifest = JSON.parse(readFileSync(join(root, '../package.json'), 'utf8'))

/**
 * The files of `src` that a file imports, for types or to run, at once or later: of `#names`, all that may be
 * meant.
 */
function readImports(file: string): string[] {
  const found = texts.get(file)?.matchAll(/\b(?:from|import)\s*\(?\s*'([.#][^']*)'/g) ?? []
  return [...found].flatMap(([, from = '']) =>
    from.startsWith('#')
      ? Object.values<string>(manifest.imports[from] ?? { missing: from }).map((place) =>
          place.replace('./src/', ''),
        )
      : normalize(join(dirname(file), from)).replace(/\.js$/, '.ts'),
  )
}

const imports = new Map(files.map((file) => [file, readImports(file)]))
const importsOf = (file: string) => imports.get(file) ?? []

const partOf = (file: string) => file.replace(/\/.*|\.ts$/, '')
const rankOf = (part: string) => layers.findIndex((line) => line.includes(part))

function isAllowed(from: string, to: string): boolean {
  if (from === to) return true
  const own = apart[from]
  if (own !== undefined) return own.includes(to)
  return rankOf(to) >= 0 && rankOf(to) < rankOf(from)
}

/** The files on a way that leads from a file back to it. */
function findCycle(start: string): string[] | undefined {
  const seen = new Set<string>()
  const ways = [[start]]
  for (let way = ways.pop(); way !== undefined; way = ways.pop()) {
    for (const next of importsOf(way.at(-1) ?? '')) {
      if (next === start) return [...way, next]
      if (seen.has(next)) continue
      seen.add(next)
      ways.push([...way, next])
    }
  }
  return undefined
}

describe('the layers of src', () => {
  test('name every folder and every loose file, once', () => {
    const named = [...layers.flat(), ...Object.keys(apart)]
    expect(named.sort()).toEqual([...new Set(files.map(partOf))].sort())
  })

  test('are listed in this order in the documentation', () => {
    const text = readFileSync(join(root, '../docs/architecture.md'), 'utf8')
    const [, table = ''] = text.split('| folder or file | content |')
    const rows = table.slice(0, table.indexOf('\n\n')).match(/^\| `.*` \|/gm) ?? []
    const named = rows.flatMap((row) =>
      [...row.matchAll(/`src\/([\w-]+)(?:\.ts)?`/g)].map(([, name]) => name),
    )
    expect(named).toEqual(layers.flat())
  })

  test('are imported from above only', () => {
    const wrong = files.flatMap((file) =>
      importsOf(file)
        .filter((target) => !isAllowed(partOf(file), partOf(target)))
        .map((target) => `${file} imports ${target}`),
    )
    expect(wrong).toEqual([])
  })

  it('import only files that are there', () => {
    const missing = files.flatMap((file) => importsOf(file).filter((target) => !texts.has(target)))
    expect(missing).toEqual([])
  })
})

/** The files whose form is checked. */
const everywhere = ['src', 'middleware', 'test', 'tools', 'bench', 'fixtures'].flatMap((folder) => {
  const place = join(root, '..', folder)
  return filesIn(place).map((file) => ({
    file: `${folder}/${file}`,
    lines: readFileSync(join(place, file), 'utf8').split('\n'),
  }))
})

describe('the files of src', () => {
  test('import each other in no cycle', () => {
    expect(files.map(findCycle).find((cycle) => cycle !== undefined)).toBeUndefined()
  })

  test('are at most eight outside of folders', () => {
    expect(files.filter((file) => !file.includes('/')).length).toBeLessThanOrEqual(8)
  })

  test('have comments of at most 110 columns, those of the other folders too', () => {
    const wide = everywhere.filter(({ lines }) =>
      lines.some((line) => /^\s*(\/\/|\/?\*)/.test(line) && line.length > 110),
    )
    expect(wide.map(({ file }) => file)).toEqual([])
  })

  test('have at most 400 lines, those of the other folders too', () => {
    const long = everywhere.filter(({ lines }) => lines.length > 401).map(({ file }) => file)
    // The rows of the table are data.
    expect(long.filter((file) => !file.startsWith('fixtures/conformance/'))).toEqual([])
  })
})
