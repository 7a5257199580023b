import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Program {
  /** Resolves to the output when the program listens. */
  listening(): Promise<string>
  ended(): Promise<{ readonly code: number | null; readonly output: string }>
  stop(): void
}

/** Runs a JavaScript or TypeScript program that prints "listening on port" when it is ready. */
export function startProgram(file: string, cwd: string, env: Record<string, string>): Program {
  const child = spawn(process.execPath, ['--import', 'tsx', file], { cwd, env: { ...process.env, ...env } })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text))
  return {
    async listening() {
      while (!output.includes('listening on port')) {
        if (child.exitCode !== null) throw new Error(output)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      return output
    },
    async ended() {
      if (child.exitCode === null) await once(child, 'close')
      return { code: child.exitCode, output }
    },
    stop: () => void child.kill(),
  }
}

/** A free port on loopback. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
