import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { isObject } from '../lib/own.js'
import { PolicyError } from './error.js'
import { readJson } from './json-file.js'
import type { Policy } from './policy.js'

/**
 * Reads a policy from a JSON file (UTF-8). Throws the file system's own error where the file cannot be read, and a
 * PolicyError with line and column where it is not JSON or a member stands twice. What the policy says is checked when
 * the verifier is made; that PolicyError names line and column, too.
 */
export function loadPolicy(file: string | URL): Policy {
  const bytes = readFileSync(file)
  const name = typeof file === 'string' ? file : fileURLToPath(file)
  const policy = readJson(decodeUtf8(bytes, name), name)
  if (!isObject(policy)) {
    throw new PolicyError([{ path: '', message: 'must be a JSON object', file: name, line: 1, column: 1 }])
  }
  return policy as unknown as Policy
}

/** A byte order mark is left out. */
function decodeUtf8(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new PolicyError([{ path: '', message: 'is not UTF-8: save it as UTF-8', file, line: 1, column: 1 }])
  }
}
