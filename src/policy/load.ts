import { isObject } from '../lib/objects.js'
import { PolicyError } from './error.js'
import { readJson } from './json-file.js'
import type { Policy } from './policy.js'

/**
 * Reads a policy from a JSON file (UTF-8). Throws the error of the file system, or PolicyError with line
 * and column if the file is not JSON or an object has a member twice. `createVerifier` checks the content,
 * and its PolicyError has line and column, too.
 */
export function loadPolicy(file: string | URL): Policy {
  const name = typeof file === 'string' ? file : decodeURIComponent(file.pathname)
  // Not imported, because runtimes without files load this module too.
  const fs = globalThis.process?.getBuiltinModule?.('node:fs')
  if (fs === undefined) {
    const message = 'this runtime has no files: import the JSON and pass it to createVerifier'
    throw new PolicyError([{ path: '', message, file: name, line: 1, column: 1 }])
  }
  const bytes = fs.readFileSync(file)
  const policy = readJson(decodeUtf8(bytes, name), name)
  if (!isObject(policy)) {
    throw new PolicyError([{ path: '', message: 'must be a JSON object', file: name, line: 1, column: 1 }])
  }
  return policy as unknown as Policy
}

/** Removes a byte order mark. */
function decodeUtf8(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new PolicyError([{ path: '', message: 'is not UTF-8: save it as UTF-8', file, line: 1, column: 1 }])
  }
}
