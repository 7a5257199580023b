import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isObject } from '../lib/objects.js'
import { parsePolicyFile } from '../policy/load.js'
import type { Policy } from '../policy/policy.js'
import { readBytes } from './files.js'
import { messageOf, UsageError } from './usage-error.js'

/**
 * Reads a policy from a JSON file, or from the default export, or the export `policy`, of a JavaScript
 * module. `-` is standard input. Throws a UsageError where there is no such file, and a PolicyError where it
 * is no JSON object.
 */
export async function readPolicyFile(file: string, name: 'policy' | 'rules' = 'policy'): Promise<Policy> {
  if (/\.[cm]?[jt]s$/.test(file)) return readPolicyModule(file, name)
  return parsePolicyFile(readBytes(file, 'policy'), file)
}

/** Reads rules for handlers, by name: as a policy is read, or from the export `rules` of a module. */
export async function readRulesFile(file: string): Promise<object> {
  return readPolicyFile(file, 'rules')
}

async function readPolicyModule(file: string, name: 'policy' | 'rules'): Promise<Policy> {
  let exports: Record<string, unknown>
  try {
    exports = await import(pathToFileURL(resolve(file)).href)
  } catch (error) {
    throw new UsageError(`${file} cannot be loaded: ${messageOf(error)}`)
  }
  const policy = exports.default ?? exports[name]
  if (!isObject(policy))
    throw new UsageError(`${file} has no ${name}: export it as default, or under the name "${name}"`)
  return policy as unknown as Policy
}
