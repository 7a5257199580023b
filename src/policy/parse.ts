import type { z } from 'zod'
import { isObject } from '../jose/own.js'
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

/** A policy that was read: the parts that have the right shape, and what is wrong with the others. */
export interface ParsedPolicy {
  readonly data: Partial<PolicyData>
  /** The keys of `routes`, those included whose rule is wrong. */
  readonly routeKeys: readonly string[]
  readonly problems: Problems
}

export function parsePolicy(policy: unknown): ParsedPolicy {
  const problems = createProblems()
  const input = snapshot(policy)
  refuseOddData(policy, [], problems)
  const result = schema.safeParse(input)
  for (const issue of result.error?.issues ?? []) addIssue(issue, [], problems)
  const data = snapshot(result.success ? result.data : partsThatParse(input)) as Partial<PolicyData>
  const routes = isObject(input) ? input.routes : undefined
  return { data, routeKeys: isObject(routes) ? Object.keys(routes) : [], problems }
}

/** Throws a PolicyError where the rule has not the right shape. */
export function parseRule(rule: unknown): RuleData {
  const problems = createProblems()
  const input = snapshot(rule)
  refuseOddData(rule, [], problems)
  const result = ruleSchema.safeParse(input)
  if (!result.success) for (const issue of result.error.issues) addIssue(issue, [], problems)
  problems.throwIfAny()
  return snapshot(result.data) as RuleData
}

/** So that one wrong key hides nothing that is wrong elsewhere. */
function partsThatParse(input: unknown): Record<string, unknown> {
  const parts: Record<string, unknown> = {}
  if (!isObject(input)) return parts
  for (const [key, part] of Object.entries(schema.shape)) {
    const value = input[key]
    const result = (part as z.ZodType).safeParse(value)
    if (result.success && result.data !== undefined) parts[key] = result.data
    else if (key === 'routes' && isObject(value)) {
      parts[key] = Object.fromEntries(
        Object.entries(value).filter(
          ([route, rule]) => schema.shape.routes.safeParse({ [route]: rule }).success,
        ),
      )
    }
  }
  return parts
}

/**
 * Refuses what the schema would not see: a member that it passes over, so that what it was to constrain were free,
 * and objects that are more than their data.
 */
function refuseOddData(value: unknown, path: readonly PropertyKey[], problems: Problems): void {
  if (typeof value !== 'object' || value === null || path.length > 40) return
  if (!isPlainData(value)) problems.add(path, 'must be plain data, as JSON has it')
  for (const [name, member] of Object.entries(value)) {
    const place = [...path, Array.isArray(value) ? Number(name) : name]
    if (name === '__proto__') problems.add(place, 'is a name that cannot be used')
    refuseOddData(member, place, problems)
  }
}

/** In whatever realm it was made: a test runner's or a worker's Object is not this module's. */
function isPlainData(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return Array.isArray(value) || prototype === null || Object.getPrototypeOf(prototype) === null
}

type Issue = z.core.$ZodIssue

function addIssue(issue: Issue, prefix: readonly PropertyKey[], problems: Problems): void {
  const path = [...prefix, ...issue.path]
  if (issue.code === 'invalid_union') {
    const branch = closestBranch(issue.errors)
    if (branch === undefined) problems.add(path, 'is none of the forms that can stand here')
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
