import { createHash } from 'node:crypto'
import type { SendCommand } from './client.js'

/** Runs a script with keys and arguments. */
export type RunScript = (keys: readonly string[], args: readonly string[]) => Promise<unknown>

/** `EVALSHA` sends only the digest of a script. A server that does not have the script gets it. */
export function createScript(command: SendCommand, text: string): RunScript {
  const digest = createHash('sha1').update(text).digest('hex')
  return async (keys, args) => {
    const rest = [String(keys.length), ...keys, ...args]
    try {
      return await command('EVALSHA', digest, ...rest)
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
      return await command('EVAL', text, ...rest)
    }
  }
}
