import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const entries = Object.keys(manifest.exports).filter((entry) => entry !== './package.json')

/** What a user gets: the tarball, unpacked beside its dependencies and the given peers, and nothing else. */
function install(folder: string, peers: readonly string[]): void {
  const modules = join(folder, 'node_modules')
  mkdirSync(join(modules, 'ajwt'), { recursive: true })
  const [{ filename }] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--silent', '--pack-destination', folder], {
      cwd: root,
      encoding: 'utf8',
    }),
  )
  execFileSync('tar', ['-xzf', join(folder, filename), '-C', join(modules, 'ajwt'), '--strip-components=1'])
  for (const name of [...Object.keys(manifest.dependencies), ...peers]) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), join(modules, name))
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
}

function run(folder: string, code: string): unknown {
  return JSON.parse(
    execFileSync('node', ['--input-type=module', '-e', code], { cwd: folder, encoding: 'utf8' }),
  )
}

describe('the packed package', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ajwt-packed-'))
  beforeAll(() => install(folder, []), 120_000)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it.each(entries)('has the entry %s, which needs no framework to be there', (entry) => {
    const name = entry.replace('.', 'ajwt')
    const names = run(folder, `console.log(JSON.stringify(Object.keys(await import('${name}'))))`) as string[]
    expect(names.length).toBeGreaterThan(0)
  })

  it('can be required, too', () => {
    const code = "console.log(JSON.stringify(typeof require('ajwt').createVerifier))"
    const flags = ['--experimental-require-module', '--no-warnings', '--input-type=commonjs', '-e', code]
    expect(execFileSync('node', flags, { cwd: folder, encoding: 'utf8' })).toContain('function')
  })

  it('holds what it runs on and what a reader needs, and no more', () => {
    const files = execFileSync('find', ['node_modules/ajwt', '-type', 'f'], { cwd: folder, encoding: 'utf8' })
      .trim()
      .split('\n')
      .map((file) => file.replace('node_modules/ajwt/', ''))
    const others = files.filter((file) => !/^dist\/(src|middleware)\/.*\.(js|d\.ts)$/.test(file))
    expect(others.sort()).toEqual(['CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md', 'package.json'])
  })

  it('has the types of every entry, for strict users', () => {
    const peers = ['express', '@types', 'koa', 'hono'].filter((name) => !(name in manifest.dependencies))
    for (const name of peers)
      symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name))
    writeFileSync(
      join(folder, 'user.ts'),
      entries.map((entry, index) => `export * as e${index} from '${entry.replace('.', 'ajwt')}'`).join('\n'),
    )
    const flags =
      '--noEmit --strict --module nodenext --target es2023 --lib es2023 --types node --skipLibCheck user.ts'
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    expect(() =>
      execFileSync('node', [tsc, ...flags.split(' ')], { cwd: folder, stdio: 'pipe' }),
    ).not.toThrow()
  })
})
