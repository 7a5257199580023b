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
  return parsePolicyFile(fileSystem(file).readFileSync(file), nameOf(file))
}

/** Parses the content of a policy file. Throws as `loadPolicy` does. */
export function parsePolicyFile(bytes: Uint8Array, name: string): Policy {
  const policy = readJson(decodeUtf8(bytes, name), name)
  if (!isObject(policy)) {
    throw new PolicyError([{ path: '', message: 'must be a JSON object', file: name, line: 1, column: 1 }])
  }
  return policy as unknown as Policy
}

/** `node:fs`. Not imported, because runtimes without files load this module too. Throws PolicyError there. */
export function fileSystem(file: string | URL) {
  const fs = globalThis.process?.getBuiltinModule?.('node:fs')
  if (fs !== undefined) return fs
  const message = 'this runtime has no files: import the JSON and pass it to createVerifier'
  throw new PolicyError([{ path: '', message, file: nameOf(file), line: 1, column: 1 }])
}

export function nameOf(file: string | URL): string {
  return typeof file === 'string' ? file : decodeURIComponent(file.pathname)
}

/** Removes a byte order mark. */
function decodeUtf8(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new PolicyError([{ path: '', message: 'is not UTF-8: save it as UTF-8', file, line: 1, column: 1 }])
  }
}
