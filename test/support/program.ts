import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'

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

/**
 * A free port on loopback, for a program that binds it a moment later. It is below the ports that systems
 * give to connections and to servers without a port of their own, so that none of those takes it meanwhile.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = randomInt(12_000, 32_000)
    const server = createServer().listen(port, '127.0.0.1')
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    return port
  }
  throw new Error('no free port in 100 attempts')
}
