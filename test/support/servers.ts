import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './docs/markdown.js'
import { freePort, type Program, startProgram } from './program.js'

// The authorization servers of test/servers, which have dependencies of their own: npm ci --prefix
// test/servers

const folder = join(root, 'test/servers')
export const serverModules = join(folder, 'node_modules')

/** Whether the tests that need these servers can run. */
export const hasServers = existsSync(join(serverModules, 'better-auth'))
if (!hasServers && process.env.CI)
  throw new Error('test/servers is not installed: run npm ci --prefix test/servers')

/** Added to the titles of suites that cannot run, so that the report names what was left out, and why. */
export const WITHOUT_SERVERS = hasServers ? '' : ' [not run: npm ci --prefix test/servers was not run]'

export interface RunningServer {
  readonly issuer: string
  readonly program: Program
}

/** Starts a file of test/servers on a port of its own. */
export async function startServer(name: string, env: Record<string, string>): Promise<RunningServer> {
  const port = await freePort()
  const program = startProgram(`${name}.js`, folder, { ...env, PORT: String(port) })
  await program.listening()
  return { issuer: `http://localhost:${port}`, program }
}
