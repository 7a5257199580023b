import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildOnce } from './once.js'

export const root = fileURLToPath(new URL('../../..', import.meta.url))

export const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** The name of every entry, as users import it. */
export const entries = Object.keys(manifest.exports)
  .filter((entry) => entry !== './package.json')
  .map((entry) => entry.replace('.', 'ajwt'))

/** A user's project in a temporary folder. */
export interface Project {
  readonly folder: string
  /** Adds packages to `node_modules`. */
  link(names: readonly string[]): void
  /** Copies files of `test/support/package/users` to these names. */
  copy(files: Readonly<Record<string, string>>): void
  /** The output of a `node` command. Throws with its output if it fails. */
  node(...args: readonly string[]): string
  remove(): void
}

/** Builds the tarball once for all test files of a run, and copies it to a temporary folder. */
export function pack(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ajwt-tarball-'))
  cpSync(buildOnce('package', buildTarball), join(folder, 'ajwt.tgz'))
  return join(folder, 'ajwt.tgz')
}

function buildTarball(folder: string): string {
  const [{ filename }] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--silent', '--pack-destination', folder], {
      cwd: root,
      encoding: 'utf8',
    }),
  )
  return join(folder, filename)
}

/** Installs the tarball and its dependencies, and nothing else. */
export function install(tarball: string, type: 'module' | 'commonjs'): Project {
  const folder = mkdtempSync(join(tmpdir(), 'ajwt-packed-'))
  const modules = join(folder, 'node_modules')
  mkdirSync(join(modules, 'ajwt'), { recursive: true })
  execFileSync('tar', ['-xzf', tarball, '-C', join(modules, 'ajwt'), '--strip-components=1'])
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type }))
  const project: Project = {
    folder,
    link(names) {
      for (const name of names) {
        mkdirSync(dirname(join(modules, name)), { recursive: true })
        symlinkSync(join(root, 'node_modules', name), join(modules, name))
      }
    },
    copy(files) {
      for (const [file, name] of Object.entries(files)) {
        cpSync(join(root, 'test/support/package/users', file), join(folder, name))
      }
    },
    node(...args) {
      // With these variables, a test runner would report to the outer test runner.
      const { NODE_TEST_CONTEXT: _, VITEST: __, ...env } = process.env
      return execFileSync(process.execPath, args, { cwd: folder, env, encoding: 'utf8', stdio: 'pipe' })
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
  project.link(Object.keys(manifest.dependencies))
  return project
}
