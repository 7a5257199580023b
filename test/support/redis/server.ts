import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort } from '../program.js'

/** Whether this machine can start a Redis server for tests. */
export const hasRedisServer = spawnSync('redis-server', ['--version']).status === 0

/** For the titles of suites that cannot run, so that the report contains the reason. */
export const WITHOUT_REDIS = hasRedisServer ? '' : ' [not run: no redis-server on this machine]'

export interface RedisServer {
  readonly port: number
  /** SIGKILL: the server loses its data. */
  kill(): Promise<void>
  /** SIGSTOP: connections stay open without responses. */
  freeze(): void
  thaw(): void
  /** Starts an empty server on the same port. */
  restart(): Promise<void>
  /** Sends one command over a new connection. Arguments must not contain spaces. */
  send(command: string): Promise<string>
  stop(): Promise<void>
}

/** Starts a redis-server without persistence, by default on a free port. */
export async function startRedis(options: { port?: number; args?: string[] } = {}): Promise<RedisServer> {
  const port = options.port ?? (await freePort())
  const directory = mkdtempSync(join(tmpdir(), 'ajwt-redis-'))
  let child = await launch()

  async function launch(): Promise<ChildProcess> {
    const where = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory]
    const memoryOnly = ['--save', '', '--appendonly', 'no', '--repl-diskless-sync-delay', '0']
    const started = spawn('redis-server', [...where, ...memoryOnly, ...(options.args ?? [])], {
      stdio: 'ignore',
    })
    for (let tries = 0; tries < 200; tries++) {
      const reply = await exchange(port, 'PING').catch(() => '')
      if (reply.startsWith('+PONG')) return started
      await pause(50)
    }
    started.kill('SIGKILL')
    throw new Error('redis-server did not start')
  }

  async function kill(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  return {
    port,
    kill,
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    async restart() {
      await kill()
      child = await launch()
    },
    send: (command) => exchange(port, command),
    async stop() {
      await kill()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

async function exchange(port: number, command: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(`${command}\r\n`)
  try {
    const [reply] = await once(socket, 'data', { signal: AbortSignal.timeout(10_000) })
    return String(reply)
  } finally {
    socket.destroy()
  }
}
