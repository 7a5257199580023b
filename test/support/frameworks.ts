import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { createKit, ISSUER, issuerJwks } from '../../fixtures/kit.js'
import { blocksOf, root } from './docs/markdown.js'
import { folderOf } from './installed.js'
import { freePort } from './program.js'

// The apps of docs/integrations.md, written into a folder beside the frameworks that they need.

/** Blocks of the document by the name of their file. */
const written = new Map(
  blocksOf('docs/integrations.md').flatMap(({ directive, code }) => {
    const name = /^file: (.+)$/.exec(directive ?? '')?.[1]
    return name === undefined ? [] : [[name, code] as const]
  }),
)

/** The names of the files in the document. */
export const writtenFiles: readonly string[] = [...written.keys()]

export interface Workspace {
  readonly folder: string
  /**
   * Writes a file of the document, or all of those below a folder, changed, and under another name where that
   * is given.
   */
  write(name: string, change?: (code: string) => string, as?: string): void
  /** Writes a file that is none of the document's. */
  add(name: string, text: string): void
  /** Runs a program of Node's in a folder of the workspace; throws with its output where it fails. */
  node(cwd: string, ...args: readonly string[]): string
  /** Starts a server, and resolves when it answers. */
  serve(cwd: string, args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Served>
  /** The path of a file of a package in test/frameworks. */
  bin(path: string): string
  /** The compiler. */
  readonly tsc: string
  remove(): void
}

export interface Served {
  readonly origin: string
  /** Credentials for one request. */
  headersOf(method: string, path: string, claims?: Record<string, unknown>): Record<string, string>
  /** The status and the JSON that a request gets. */
  ask(method: string, path: string, over?: Ask): Promise<[status: number, body: unknown]>
  stop(): Promise<void>
}

export interface Ask {
  /** Claims of the token, or null for no credentials. */
  readonly claims?: Record<string, unknown> | null
  readonly body?: unknown
  readonly headers?: Record<string, string>
}

/** A workspace with the compiled package, whose policy trusts the issuer of the tests. */
export function openWorkspace(): Workspace {
  const folder = mkdtempSync(join(folderOf('frameworks'), '.docs-'))
  installPackage(join(folder, 'node_modules/ajwt'))
  const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'production' }
  const running: ChildProcess[] = []

  const workspace: Workspace = {
    folder,
    write(name, change = (code) => code, as = name) {
      const names = [...written.keys()].filter((file) => file === name || file.startsWith(`${name}/`))
      if (names.length === 0) throw new Error(`docs/integrations.md has no file ${name}`)
      for (const file of names) workspace.add(file.replace(name, as), change(written.get(file) as string))
    },
    add(name, text) {
      mkdirSync(join(folder, name, '..'), { recursive: true })
      writeFileSync(join(folder, name), text)
    },
    node(cwd, ...args) {
      const options = { cwd: join(folder, cwd), env, encoding: 'utf8', stdio: 'pipe' } as const
      try {
        return execFileSync(process.execPath, args, options)
      } catch (error) {
        const { stdout, stderr } = error as { stdout: string; stderr: string }
        throw new Error(`${args.join(' ')}\n${stdout}\n${stderr}`)
      }
    },
    async serve(cwd, args, more = {}) {
      const port = await freePort()
      const child = spawn(process.execPath, args, {
        cwd: join(folder, cwd),
        env: { ...env, ...more, PORT: String(port) },
      })
      running.push(child)
      let output = ''
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text))
      const origin = `http://localhost:${port}`
      while (!(await isAnswering(origin))) {
        if (child.exitCode !== null) throw new Error(output)
        await wait(20)
      }
      return { origin, headersOf, ask: askOf(origin), stop: () => stop(child) }
    },
    tsc: join(root, 'node_modules/typescript/bin/tsc'),
    bin: (path) => join(folderOf('frameworks'), 'node_modules', path),
    remove() {
      for (const child of running) child.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    },
  }
  workspace.write('policy.js', (code) =>
    code.replace("'https://as.example.com'", JSON.stringify({ url: ISSUER, jwks: issuerJwks() })),
  )
  return workspace
}

/** The package as it is published, but without the copy for require(). */
function installPackage(target: string): void {
  const node = (...args: string[]) => execFileSync(process.execPath, args, { cwd: root, stdio: 'pipe' })
  node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', join(target, 'dist'))
  node('--import', 'tsx', 'tools/package-scope.ts', join(target.slice(root.length), 'dist'))
  cpSync(join(root, 'package.json'), join(target, 'package.json'))
}

async function isAnswering(origin: string): Promise<boolean> {
  try {
    await fetch(`${origin}/health`)
    return true
  } catch {
    return false
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'close')
}

function headersOf(method: string, path: string, claims = {}): Record<string, string> {
  // With the time of now: a build takes longer than a proof is accepted.
  const kit = createKit(Date.now())
  return Object.fromEntries(kit.call({ method, path, token: { claims } }).headers)
}

function askOf(origin: string): Served['ask'] {
  return async (method, path, { claims = {}, body, headers = {} } = {}) => {
    const response = await fetch(origin + path, {
      method,
      headers: {
        ...(claims === null ? {} : headersOf(method, path, claims)),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    return [response.status, text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : text]
  }
}
