import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../..', import.meta.url))

export interface CommandResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** The command `ajwt`, built like the package and run in a separate process. */
export interface BuiltCommand {
  /** The file that Node runs. */
  readonly main: string
  /** A folder for the files of a test. */
  readonly folder: string
  run(args: readonly string[], options?: { input?: string; env?: NodeJS.ProcessEnv }): Promise<CommandResult>
  /** Writes a file into the folder. Returns its path. */
  write(name: string, content: unknown): string
  remove(): void
}

/** Builds into a new folder, because another test may be building `dist`. */
export function buildCommand(): BuiltCommand {
  const folder = mkdtempSync(join(root, '.cli-'))
  const node = (...args: string[]) => execFileSync(process.execPath, args, { cwd: root, stdio: 'pipe' })
  node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', join(folder, 'dist'))
  node('--import', 'tsx', 'tools/package-scope.ts', join(folder.slice(root.length), 'dist'))
  const main = join(folder, 'dist/src/cli/main.js')
  return {
    main,
    folder,
    run: (args, { input = '', env = {} } = {}) =>
      new Promise((resolve, reject) => {
        const { FORCE_COLOR: _, NO_COLOR: __, NODE_OPTIONS: ___, ...inherited } = process.env
        const child = spawn(process.execPath, [main, ...args], { cwd: folder, env: { ...inherited, ...env } })
        let stdout = ''
        let stderr = ''
        child.stdout.setEncoding('utf8').on('data', (text: string) => {
          stdout += text
        })
        child.stderr.setEncoding('utf8').on('data', (text: string) => {
          stderr += text
        })
        child.on('error', reject)
        child.on('close', (status) => resolve({ status, stdout, stderr }))
        child.stdin.end(input)
      }),
    write(name, content) {
      const file = join(folder, name)
      writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content, null, 2))
      return file
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
