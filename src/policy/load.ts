import { isObject } from '../lib/objects.js'
import { PolicyError } from './error.js'
import { readJson } from './json-file.js'
import type { Policy } from './policy.js'

/**
 * Reads a policy from a JSON file (UTF-8). Throws the error of the file system where the file cannot be
 * read, and a PolicyError with line and column where it is not JSON or has a member twice in one object.
 * `createVerifier` checks the content. Its PolicyError names line and column, too.
 */
export function loadPolicy(file: string | URL): Policy {
  const name = typeof file === 'string' ? file : decodeURIComponent(file.pathname)
  // Not imported: this module also loads where there are no files.
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

/** A byte order mark is left out. */
function decodeUtf8(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new PolicyError([{ path: '', message: 'is not UTF-8: save it as UTF-8', file, line: 1, column: 1 }])
  }
}
