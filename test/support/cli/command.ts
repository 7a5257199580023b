import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildOnce } from '../package/once.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))

export interface CommandResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** The command `ajwt`, built like the package. */
export interface BuiltCommand {
  /** The folder of the compiled code. */
  readonly dist: string
  /** The file that Node runs. */
  readonly main: string
  /** A folder for the files of a test, in which commands run. */
  readonly folder: string
  /** Runs a command in a process that has loaded it, so that it takes little time. */
  run(args: readonly string[]): Promise<CommandResult>
  /** Runs a command in a process of its own, as users do. */
  spawn(
    args: readonly string[],
    options?: { input?: string; env?: NodeJS.ProcessEnv },
  ): Promise<CommandResult>
  /** Writes a file into the folder. Returns its path. */
  write(name: string, content: unknown): string
  remove(): void
}

/** Builds once for all files of a run, because another test may be building `dist`. */
export function buildCommand(): BuiltCommand {
  const dist = buildOnce('command', build)
  const folder = mkdtempSync(join(root, '.cli-'))
  const { FORCE_COLOR: _, NO_COLOR: __, COLUMNS: ___, NODE_OPTIONS: ____, ...inherited } = process.env
  const main = join(dist, 'src/cli/main.js')
  let host: Host | undefined
  return {
    dist,
    main,
    folder,
    run(args) {
      host ??= startHost(join(dist, 'src/cli'), folder, inherited)
      return host.run(args)
    },
    spawn: (args, { input = '', env = {} } = {}) =>
      new Promise((resolve, reject) => {
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
        // A command that does not read its input has ended before all is written.
        child.stdin.on('error', ({ code }: NodeJS.ErrnoException) => {
          if (code !== 'EPIPE') reject(new Error(`standard input: ${code}`))
        })
        child.stdin.end(input)
      }),
    write(name, content) {
      const file = join(folder, name)
      writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content, null, 2))
      return file
    },
    remove() {
      host?.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function build(folder: string): string {
  const dist = join(folder, 'dist')
  symlinkSync(join(root, 'node_modules'), join(folder, '../node_modules'))
  const node = (...args: string[]) => execFileSync(process.execPath, args, { cwd: root, stdio: 'pipe' })
  node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', dist)
  node('--import', 'tsx', 'tools/package-scope.ts', dist)
  return dist
}

interface Host {
  run(args: readonly string[]): Promise<CommandResult>
  stop(): void
}

type Finished = CommandResult & { readonly id: number }

function startHost(cli: string, cwd: string, env: NodeJS.ProcessEnv): Host {
  const child: ChildProcess = fork(fileURLToPath(new URL('host.js', import.meta.url)), [cli], {
    cwd,
    env,
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  const waiting = new Map<number, (result: CommandResult | Error) => void>()
  let crash = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    crash += text
  })
  const ready = new Promise<void>((resolve) => child.once('message', () => resolve()))
  child.on('message', (message: Finished | 'ready') => {
    if (message === 'ready') return
    const { id, ...result } = message
    waiting.get(id)?.(result)
    waiting.delete(id)
  })
  child.on('close', () => {
    for (const finish of waiting.values()) finish(new Error(`the command has ended its process: ${crash}`))
  })
  let count = 0
  return {
    async run(args) {
      const id = ++count
      return new Promise((resolve, reject) => {
        waiting.set(id, (result) => (result instanceof Error ? reject(result) : resolve(result)))
        ready.then(() => child.send({ id, args }))
      })
    },
    stop: () => void child.kill(),
  }
}
