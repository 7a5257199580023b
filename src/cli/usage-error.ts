import { brandError } from '../lib/copies.js'

/** The command cannot be carried out as it was typed: exit code 2. The message says what to type instead. */
export class UsageError extends Error {
  static {
    brandError(UsageError, 'UsageError')
  }
  override readonly name = 'UsageError'
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
