import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../..', import.meta.url))

export const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** Of every entry the name that users load it by. */
export const entries = Object.keys(manifest.exports)
  .filter((entry) => entry !== './package.json')
  .map((entry) => entry.replace('.', 'ajwt'))

/** A project of a user's, in a folder of its own. */
export interface Project {
  readonly folder: string
  /** Puts other packages beside the installed one. */
  link(names: readonly string[]): void
  /** Takes over files of `test/support/package/users`, by the names that they get. */
  copy(files: Readonly<Record<string, string>>): void
  /** What a command of Node's prints; throws with its output where it fails. */
  node(...args: readonly string[]): string
  remove(): void
}

/** The tarball, in a folder of its own. It is built anew: two test files must not do that at the same time. */
export function pack(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ajwt-tarball-'))
  const [{ filename }] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--silent', '--pack-destination', folder], {
      cwd: root,
      encoding: 'utf8',
    }),
  )
  return join(folder, filename)
}

/** What a user gets: the tarball, unpacked beside its dependencies, and nothing else. */
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
      // A runner that finds itself inside another one's child would report to that one instead.
      const { NODE_TEST_CONTEXT: _, VITEST: __, ...env } = process.env
      return execFileSync(process.execPath, args, { cwd: folder, env, encoding: 'utf8', stdio: 'pipe' })
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
  project.link(Object.keys(manifest.dependencies))
  return project
}
