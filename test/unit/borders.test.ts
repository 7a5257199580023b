import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

function importsOf(folder: string): { file: string; from: string }[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => {
      const text = readFileSync(join(root, folder, file), 'utf8')
      const imports = text.matchAll(/(?:from|import\() ?'([^']+)'|^import '([^']+)'/gm)
      return [...imports].map(([, from, bare]) => ({ file, from: (from ?? bare) as string }))
    })
}

describe('borders', () => {
  it('finds imports', () => {
    expect(importsOf('src').length).toBeGreaterThan(100)
    expect(importsOf('middleware').length).toBeGreaterThan(6)
  })

  it('keeps frameworks out of the core', () => {
    // The other ends of the wire: a test of its own holds the borders of the agents' side, and the next one
    // theirs.
    const foreign = importsOf('src').filter(
      ({ file, from }) =>
        !/^(agent|testing|oidc-provider|cli)\//.test(file) &&
        !/^[.#]/.test(from) &&
        !from.startsWith('node:'),
    )
    const namesIn = (isForWeb: boolean) =>
      [
        ...new Set(
          foreign.filter(({ file }) => file.endsWith('-web.ts') === isForWeb).map(({ from }) => from),
        ),
      ].sort()
    expect(namesIn(false)).toEqual(['@opentelemetry/api', 'lru-cache', 'zod/mini'])
    expect(namesIn(true)).toEqual(['@noble/hashes/hmac.js', '@noble/hashes/sha2.js', 'jose', 'tiny-lru'])
  })

  it("keeps Node's modules behind #runtime and #signature, for runtimes that have none", () => {
    const core = importsOf('src').filter(
      ({ file }) => !/^(agent|testing|oidc-provider|cli|stores\/redis)\//.test(file),
    )
    const files = core.filter(({ from }) => from.startsWith('node:')).map(({ file }) => file)
    expect([...new Set(files)].sort()).toEqual([
      'jws/ecdsa-der.ts',
      'jws/node-key.ts',
      // Types alone.
      'jws/public-key.ts',
      'jws/signature-node.ts',
      'jws/spki.ts',
      'lib/runtime-node.ts',
    ])
    expect(readFileSync(join(root, 'src/jws/public-key.ts'), 'utf8')).toMatch(
      /^import type [^\n]* from 'node:crypto'$/m,
    )
    for (const { file } of core) {
      if (!files.includes(file))
        expect(readFileSync(join(root, 'src', file), 'utf8'), file).not.toMatch(/\bBuffer\b/)
    }
  })

  it('keeps what mints apart from what verifies: a mistake in one is not also in the other', () => {
    const outside = (folder: string) => {
      const files = importsOf('src').filter(({ file }) => file.startsWith(folder))
      expect(files.length).toBeGreaterThan(10)
      return [...new Set(files.map(({ from }) => from).filter((from) => !/^\.\/|^node:/.test(from)))].sort()
    }
    expect(outside('testing/')).toEqual([
      '../agent/definition.js',
      '../agent/delegation/delegate.js',
      '../agent/keys/proof.js',
      // Types, which are gone by the time it runs.
      '../index.js',
      '../protocol/token-types.js',
    ])
    const oidcProvider = ['', '/lib/helpers/grants.js', '/lib/helpers/weak_cache.js'].map(
      (file) => `oidc-provider${file}`,
    )
    expect(outside('oidc-provider/')).toEqual([
      '../agent/delegation/chain.js',
      '../agent/errors.js',
      '../agent/index.js',
      '../lib/copies.js',
      ...oidcProvider,
    ])
    const core = importsOf('src').filter(({ file }) => !/^(agent|testing|oidc-provider|cli)\//.test(file))
    expect(core.filter(({ from }) => /\/(agent|testing|oidc-provider|cli)\//.test(from))).toEqual([])
  })

  it('has one list of algorithms, and one table of their parameters', () => {
    const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    const listing = files.filter(
      (file) => file.endsWith('.ts') && /\bPS512\b/.test(readFileSync(join(root, 'src', file), 'utf8')),
    )
    expect(listing.sort()).toEqual(['jws/algorithms.ts', 'protocol/algorithms.ts'])
  })

  it('shares names, and nothing that runs, between the ends', () => {
    expect(importsOf('src').filter(({ file }) => file.startsWith('protocol/'))).toEqual([])
    for (const file of readdirSync(join(root, 'src/protocol'))) {
      expect(readFileSync(join(root, 'src/protocol', file), 'utf8'), file).not.toMatch(
        /=>|\bfunction\b|\bclass\b/,
      )
    }
  })

  it('loads oidc-provider when it is asked to, and not when the entry is', () => {
    const files = readdirSync(join(root, 'src/oidc-provider'))
    for (const file of files) {
      const text = readFileSync(join(root, 'src/oidc-provider', file), 'utf8')
      expect(text, file).not.toMatch(/^import (?!type\b)[^']*from 'oidc-provider/m)
    }
  })

  it('runs its testing entry under any runner', () => {
    for (const { from } of importsOf('src').filter(({ file }) => file.startsWith('testing/'))) {
      expect(from).not.toMatch(/vitest|jest|node:test/)
    }
  })

  it('keeps every decision out of the adapters', () => {
    // The common parts of all adapters.
    const shared = ['core.ts', 'coverage.ts', 'content.ts', 'mcp.ts']
    const allowed = ['./core.js', './coverage.js', './content.js', './mcp.js', '../src/index.js']
    const others = importsOf('middleware').filter(
      ({ file, from }) =>
        !shared.includes(file) &&
        from.startsWith('.') &&
        !allowed.includes(from) &&
        from !== `./${file.replace('.ts', '-handlers.js')}`,
    )
    expect(others).toEqual([])
    for (const file of readdirSync(join(root, 'middleware')).filter((name) => !shared.includes(name))) {
      const text = readFileSync(join(root, 'middleware', file), 'utf8')
      // Codes, statuses, headers of credentials: a file with one of these makes a decision.
      expect(text).not.toMatch(/\b(40[0-9]|503|authorization|dpop|www-authenticate|scope|audience)\b/i)
    }
  })

  it('A287 shares what is remembered of objects, and classes of errors, between its two copies in a process', () => {
    const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    const classes: string[] = []
    for (const file of files.filter((name) => name.endsWith('.ts'))) {
      const text = readFileSync(join(root, 'src', file), 'utf8')
      expect(text, file).not.toMatch(
        /^(export )?(const|let) [^=\n]*= [^=>\n]*(new (\w+\.)?(Weak|AsyncLocalStorage)|createPrivateSlot)/m,
      )
      for (const [, name] of text.matchAll(/^export class (\w+) extends \w*Error\b/gm)) {
        expect(text, file).toContain(`  static {\n    brandError(${name}, '${name}')\n  }`)
        classes.push(name as string)
      }
    }
    expect(classes).toContain('PolicyError')
  })

  it('shares nothing with a copy of another version', () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    expect(readFileSync(join(root, 'src/lib/copies.ts'), 'utf8')).toContain(`version = '${version}'`)
  })

  it('never looks at the Host header, nor at what a proxy forwards', () => {
    for (const folder of ['src', 'middleware']) {
      for (const file of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
        if (!file.endsWith('.ts')) continue
        const text = readFileSync(join(root, folder, file), 'utf8')
        expect(text, file).not.toMatch(/headers\.host|'host'|x-forwarded|req\.(host|hostname|protocol|ip)\b/i)
      }
    }
  })
})
