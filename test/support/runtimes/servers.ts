import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { folderOf } from '../installed.js'

export type Runtime = 'workerd' | 'bun' | 'deno'

/** A program in another runtime, with a port of its own. */
export interface RuntimeServer {
  readonly port: number
  /** Its output on stderr. */
  readonly errors: () => string
  close(): void
}

/** The command of a package of `test/runtimes`. */
export function commandOf(name: string): string {
  return join(folderOf('runtimes'), 'node_modules/.bin', name)
}

const conditions: Readonly<Record<Runtime, readonly string[]>> = {
  workerd: [
    '--conditions=workerd,worker,browser',
    '--platform=neutral',
    '--main-fields=module,main',
    '--external:cloudflare:*',
  ],
  bun: ['--conditions=bun', '--platform=node'],
  deno: ['--conditions=deno', '--platform=node'],
}

/**
 * Bundles a file as the tools of a runtime do: with its conditions, and none of Node's modules for Workers.
 */
export function bundleFor(runtime: Runtime, file: string, outfile: string): void {
  const flags = [
    '--bundle',
    '--format=esm',
    '--log-level=error',
    `--outfile=${outfile}`,
    ...conditions[runtime],
  ]
  execFileSync(commandOf('esbuild'), [file, ...flags], { stdio: 'pipe' })
}

/** Starts a file of this folder in a runtime, as a bundle. */
export async function startIn(
  runtime: Runtime,
  file: string,
  variables: Readonly<Record<string, string>>,
): Promise<RuntimeServer> {
  const folder = mkdtempSync(join(tmpdir(), `ajwt-${runtime}-`))
  const bundle = join(folder, 'worker.mjs')
  try {
    bundleFor(runtime, fileURLToPath(new URL(file, import.meta.url)), bundle)
    const server = await startProgram(runtime, bundle, variables)
    return {
      ...server,
      close() {
        server.close()
        rmSync(folder, { recursive: true, force: true })
      },
    }
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

/** Starts a program: in workerd, one file. `variables` are bindings there, and the environment elsewhere. */
export async function startProgram(
  runtime: Runtime | 'node',
  file: string,
  variables: Readonly<Record<string, string>> = {},
): Promise<RuntimeServer> {
  const config = `${file}.capnp`
  if (runtime === 'workerd') writeFileSync(config, workerdConfig(basename(file), variables))
  const [command, ...flags] = {
    workerd: [commandOf('workerd'), 'serve', config, '--control-fd=1'],
    bun: [commandOf('bun'), 'run', file],
    deno: [commandOf('deno'), 'run', '--allow-all', '--node-modules-dir=manual', file],
    node: [process.execPath, file],
  }[runtime] as [string, ...string[]]
  const child = spawn(command, flags, {
    cwd: dirname(file),
    env: { ...process.env, ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let errors = ''
  child.stderr.on('data', (chunk) => {
    errors += chunk
  })
  const close = () => {
    child.kill('SIGKILL')
  }
  try {
    return { port: await portOf(child, runtime, () => errors), errors: () => errors, close }
  } catch (error) {
    close()
    throw error
  }
}

/** Without `nodejs_compat`: a Worker as Cloudflare makes it by default. */
function workerdConfig(file: string, variables: Readonly<Record<string, string>>): string {
  const bindings = Object.entries(variables).map(
    ([name, value]) => `(name = ${JSON.stringify(name)}, text = ${JSON.stringify(value)})`,
  )
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = ["public", "private", "local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "${file}")],
  compatibilityDate = "2026-11-01",
  compatibilityFlags = ["no_nodejs_compat", "no_nodejs_compat_v2"],
  bindings = [${bindings.join(', ')}],
);
`
}

/** From `{"event":"listen","port":1}` of workerd, or the line "port 1" of the others. */
function portOf(child: ChildProcess, runtime: string, errors: () => string): Promise<number> {
  return new Promise((resolve, reject) => {
    let output = ''
    const timer = setTimeout(() => reject(new Error(`${runtime} does not start: ${errors()}`)), 20_000)
    child.stdout?.on('data', (chunk) => {
      output += chunk
      const port = /port"?[: ]+(\d+)/.exec(output)?.[1]
      if (port === undefined) return
      clearTimeout(timer)
      resolve(Number(port))
    })
    child.once('exit', (code) => {
      clearTimeout(timer)
      reject(new Error(`${runtime} ended with code ${code}: ${errors()}`))
    })
  })
}
