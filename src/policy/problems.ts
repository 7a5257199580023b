import { formatPath, PolicyError, type PolicyIssue } from './error.js'
import { locate } from './json-file.js'
import type { PolicyData } from './schema.js'

/** Collects all mistakes of a policy, so that they can be corrected together. */
export interface Problems {
  /** `part`: whether the position in a file is that of the name or of the value. */
  add(path: readonly PropertyKey[], message: string, part?: 'name' | 'value'): void
  /** Whether there is a problem at or below this path. */
  has(path: string): boolean
  throwIfAny(): void
}

/** The valid parts of a policy, and the problems of the others. */
export interface ParsedPolicy {
  readonly data: Partial<PolicyData>
  /** All keys of `routes`, including those with an invalid rule. */
  readonly routeKeys: readonly string[]
  readonly problems: Problems
}

export function createProblems(policy: unknown): Problems {
  const issues: PolicyIssue[] = []
  return {
    add(path, message, part = 'value') {
      const problem: PolicyIssue = { path: formatPath(path), message, ...locate(policy, path, part) }
      if (!issues.some((known) => known.path === problem.path && known.message === message))
        issues.push(problem)
    },
    has: (prefix) =>
      issues.some(
        ({ path }) => path === prefix || path.startsWith(`${prefix}.`) || path.startsWith(`${prefix}[`),
      ),
    throwIfAny() {
      if (issues.length > 0) throw new PolicyError(issues)
    },
  }
}
