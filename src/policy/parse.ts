import type { z } from 'zod'
import { formatPath, PolicyError, type PolicyIssue } from './error.js'
import { type PolicyData, type RuleData, ruleSchema, schema } from './schema.js'
import { snapshot } from './snapshot.js'

/** Collects what is wrong with a policy, so that a person mends it in one go. */
export interface Problems {
  add(path: readonly PropertyKey[], message: string): void
  /** Whether a top-level key is already known to be wrong. */
  has(key: string): boolean
  throwIfAny(): void
}

/** The parts of a policy that have the right shape, and what is wrong with the others. */
export function parsePolicy(policy: unknown): { data: Partial<PolicyData>; problems: Problems } {
  const problems = createProblems()
  const input = snapshot(policy)
  refuseProtoMembers(input, [], problems)
  const result = schema.safeParse(input)
  if (result.success) return { data: snapshot(result.data) as PolicyData, problems }
  for (const issue of result.error.issues) addIssue(issue, [], problems)
  return { data: snapshot(partsThatParse(input)) as Partial<PolicyData>, problems }
}

/** Throws a PolicyError where the rule has not the right shape. */
export function parseRule(rule: unknown): RuleData {
  const problems = createProblems()
  const input = snapshot(rule)
  refuseProtoMembers(input, [], problems)
  const result = ruleSchema.safeParse(input)
  if (!result.success) for (const issue of result.error.issues) addIssue(issue, [], problems)
  problems.throwIfAny()
  return snapshot(result.data) as RuleData
}

/** So that one wrong key hides nothing that is wrong elsewhere. */
function partsThatParse(input: unknown): Record<string, unknown> {
  const parts: Record<string, unknown> = {}
  if (typeof input !== 'object' || input === null) return parts
  for (const [key, part] of Object.entries(schema.shape)) {
    const value = (input as Record<string, unknown>)[key]
    const result = (part as z.ZodType).safeParse(value)
    if (result.success && result.data !== undefined) parts[key] = result.data
    else if (key === 'routes' && typeof value === 'object' && value !== null) {
      parts[key] = Object.fromEntries(
        Object.entries(value).filter(
          ([route, rule]) => schema.shape.routes.safeParse({ [route]: rule }).success,
        ),
      )
    }
  }
  return parts
}

/** The schema passes over a member of this name, and what it was to constrain would be free. */
function refuseProtoMembers(value: unknown, path: readonly PropertyKey[], problems: Problems): void {
  if (typeof value !== 'object' || value === null || path.length > 40) return
  for (const [name, member] of Object.entries(value)) {
    const place = [...path, Array.isArray(value) ? Number(name) : name]
    if (name === '__proto__') problems.add(place, 'is a name that cannot be used')
    refuseProtoMembers(member, place, problems)
  }
}

type Issue = z.core.$ZodIssue

function addIssue(issue: Issue, prefix: readonly PropertyKey[], problems: Problems): void {
  const path = [...prefix, ...issue.path]
  if (issue.code === 'invalid_union') {
    const branch = closestBranch(issue.errors)
    if (branch === undefined) problems.add(path, `is none of the forms that can stand here`)
    else for (const inner of branch) addIssue(inner, path, problems)
  } else if (issue.code === 'unrecognized_keys') {
    for (const key of issue.keys) problems.add([...path, key], 'is not known')
  } else if (issue.code === 'invalid_key') {
    for (const inner of issue.issues) problems.add(path, inner.message)
  } else problems.add(path, issue.message)
}

/** Of several forms that a value could have had, the one that it was meant to have. */
function closestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  const isAboutTheWhole = (issue: Issue) =>
    issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_value')
  return branches.find((issues) => !issues.some(isAboutTheWhole))
}

function createProblems(): Problems {
  const issues: PolicyIssue[] = []
  return {
    add(path, message) {
      const problem = { path: formatPath(path), message }
      if (!issues.some((known) => known.path === problem.path && known.message === message))
        issues.push(problem)
    },
    has: (key) =>
      issues.some(({ path }) => path === key || path.startsWith(`${key}.`) || path.startsWith(`${key}[`)),
    throwIfAny() {
      if (issues.length > 0) throw new PolicyError(issues)
    },
  }
}
