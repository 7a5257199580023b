import { brandError } from '../lib/copies.js'

/** One mistake in a policy. */
export interface PolicyIssue {
  /** The path, such as `routes["GET /orders/:id"].scope[0]`. Empty for the policy as a whole. */
  readonly path: string
  readonly message: string
  /** The position in the file that `loadPolicy` read. Lines and columns count from 1. */
  readonly file?: string
  readonly line?: number
  readonly column?: number
}

/**
 * A policy, a rule or an option is wrong. Thrown when the verifier is made, never for a request. The
 * message names all mistakes, with `FILE:LINE:COLUMN` for a policy from a file.
 */
export class PolicyError extends Error {
  static {
    brandError(PolicyError, 'PolicyError')
  }
  override readonly name = 'PolicyError'
  readonly issues: readonly PolicyIssue[]

  constructor(issues: readonly PolicyIssue[]) {
    const places = issues.length === 1 ? 'one place' : `${issues.length} places`
    const lines = issues.map((issue) => `  ${formatIssue(issue)}`)
    super(`The policy is wrong in ${places}:\n${lines.join('\n')}`)
    this.issues = issues
  }
}

function formatIssue({ path, message, file, line, column }: PolicyIssue): string {
  if (file === undefined) return `${path === '' ? 'policy' : path}: ${message}`
  return `${file}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}`
}

/** Formats a path as in JavaScript: `issuer[0].keys.maxAge`, `routes["GET /orders"]`. */
export function formatPath(path: readonly PropertyKey[]): string {
  let text = ''
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`
    else if (/^[A-Za-z_$][\w$]*$/.test(String(key))) text += text === '' ? String(key) : `.${String(key)}`
    else text += `[${JSON.stringify(String(key))}]`
  }
  return text
}

export function toIssue(path: readonly PropertyKey[], message: string): PolicyIssue {
  return { path: formatPath(path), message }
}
