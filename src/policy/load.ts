import { readFileSync } from 'node:fs'
import { PolicyError } from './error.js'
import type { Policy } from './policy.js'

/** Gives a policy its type, for an editor to check and to complete; returns it as it is. */
export function definePolicy<const P extends Policy>(policy: P): P {
  return policy
}

/**
 * Reads a policy from a JSON file. Throws the file system's own error where it cannot be read, and a
 * PolicyError where it is no JSON; what it says is checked when the verifier is made.
 */
export function loadPolicy(file: string | URL): Policy {
  const text = readFileSync(file, 'utf8')
  try {
    return JSON.parse(text)
  } catch {
    throw new PolicyError([{ path: '', message: `${file} is not JSON` }])
  }
}
