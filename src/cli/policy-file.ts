import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isObject } from '../lib/objects.js'
import { loadPolicy } from '../policy/load.js'
import type { Policy } from '../policy/policy.js'
import { UsageError } from './usage-error.js'

/**
 * Reads a policy from a JSON file, or from the default export, or the export `policy`, of a JavaScript
 * module. Throws a UsageError where there is no such file, and a PolicyError where it is no JSON object.
 */
export async function readPolicyFile(file: string, name: 'policy' | 'rules' = 'policy'): Promise<Policy> {
  if (/\.[cm]?[jt]s$/.test(file)) return readPolicyModule(file, name)
  try {
    return loadPolicy(file)
  } catch (error) {
    throw asUsageError(error, file)
  }
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

/** The text of a file that the caller has named; `-` is standard input. */
export function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (error) {
    throw asUsageError(error, file)
  }
}

export function readJsonFile(file: string): unknown {
  const text = readText(file)
  try {
    return JSON.parse(text)
  } catch (error) {
    // Without the parser's message, which quotes the file: it may hold a private key.
    const position = /position \d+/.exec(messageOf(error))?.[0]
    throw new UsageError(`${file} is not JSON${position === undefined ? '' : ` at ${position}`}`)
  }
}

/** What the file system has against a file is a mistake of the command's; other errors stay as they are. */
function asUsageError(error: unknown, file: string): unknown {
  const { code }: { code?: unknown } = Object(error)
  if (code === 'ENOENT') return new UsageError(`${file}: there is no such file`)
  return typeof code === 'string' ? new UsageError(`${file} cannot be read: ${messageOf(error)}`) : error
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
