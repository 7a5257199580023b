import type { z } from 'zod'
import { formatChoice, nearest } from '../lib/nearest.js'
import { isObject } from '../lib/objects.js'
import { maxDepth, snapshot } from '../lib/plain-data.js'
import { formatPath, PolicyError, type PolicyIssue } from './error.js'
import { locate } from './json-file.js'
import {
  type IssuerData,
  issuerSchema,
  type PolicyData,
  type RuleData,
  ruleSchema,
  schema,
} from './schema.js'

/** Collects what is wrong with a policy, so that a person mends it in one go. */
export interface Problems {
  /** `part`: what of a member is marked where the policy was read from a file. */
  add(path: readonly PropertyKey[], message: string, part?: 'name' | 'value'): void
  /** Whether this path, or one within it, is already known to be wrong. */
  has(path: string): boolean
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
  const problems = createProblems(policy)
  const input = snapshot(policy)
  refuseOddData(policy, [], problems)
  const result = schema.safeParse(input)
  for (const issue of result.error?.issues ?? []) addIssue(issue, [], input, problems)
  if (isObject(input)) {
    refuseUndefined(input.routes, ['routes'], problems)
    refuseUndefined(input.agents, ['agents'], problems)
    refuseUndefinedOfIssuers(input.issuer, problems)
  }
  const data: Partial<PolicyData> = snapshot(result.success ? result.data : partsThatParse(input))
  const routes = isObject(input) ? input.routes : undefined
  return { data, routeKeys: isObject(routes) ? Object.keys(routes) : [], problems }
}

/** Reads one entry of `issuer`; throws a PolicyError where it has not the right shape. */
export function parseIssuer(issuer: unknown): { data: string | IssuerData; problems: Problems } {
  const problems = createProblems(issuer)
  const input = snapshot(typeof issuer === 'string' ? { url: issuer } : issuer)
  refuseOddData(issuer, [], problems)
  const result = issuerSchema.safeParse(input)
  for (const issue of result.error?.issues ?? []) addIssue(issue, [], input, problems)
  refuseUndefinedOfIssuer(input, [], problems)
  problems.throwIfAny()
  return { data: snapshot(result.data) as IssuerData, problems }
}

/** Throws a PolicyError where the rule has not the right shape. */
export function parseRule(rule: unknown): RuleData {
  const problems = createProblems(rule)
  const input = snapshot(rule)
  refuseOddData(rule, [], problems)
  const result = ruleSchema.safeParse(input)
  if (!result.success) for (const issue of result.error.issues) addIssue(issue, [], input, problems)
  refuseUndefined(input, [], problems)
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
  if (typeof value !== 'object' || value === null || path.length > maxDepth) return
  if (path.length === maxDepth) problems.add(path, `nests more than ${maxDepth} levels`)
  if (!isPlainData(value)) problems.add(path, 'must be plain data, as JSON has it')
  for (const [name, member] of Object.entries(value)) {
    const place = [...path, Array.isArray(value) ? Number(name) : name]
    if (name === '__proto__') problems.add(place, 'is a name that cannot be used: rename it', 'name')
    refuseOddData(member, place, problems)
  }
}

/** Members of a rule that are no conditions on a token. */
const flags: ReadonlySet<string> = new Set(['once', 'anonymous', 'mode'])

/**
 * Refuses a condition that is undefined: the schema takes it for one that is left out, so that `{ scope:
 * process.env.SCOPE }` would let every token in where the variable is not set.
 */
function refuseUndefined(value: unknown, path: readonly PropertyKey[], problems: Problems): void {
  if (typeof value !== 'object' || value === null || path.length > maxDepth) return
  for (const [name, member] of Object.entries(value)) {
    const place = [...path, Array.isArray(value) ? Number(name) : name]
    if (member !== undefined) refuseUndefined(member, place, problems)
    else if (!flags.has(name) && !problems.has(formatPath(place))) {
      problems.add(
        place,
        'is undefined, as an environment variable is that is not set: set it, or leave the key out',
      )
    }
  }
}

function refuseUndefinedOfIssuers(value: unknown, problems: Problems): void {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) refuseUndefinedOfIssuer(item, ['issuer', index], problems)
  } else refuseUndefinedOfIssuer(value, ['issuer'], problems)
}

/** Members of an issuer's entry without which more tokens would be accepted. */
const narrowing = ['audience', 'claims', 'header', 'token'] as const

function refuseUndefinedOfIssuer(value: unknown, path: readonly PropertyKey[], problems: Problems): void {
  if (!isObject(value)) return
  const written = narrowing.filter((name) => Object.hasOwn(value, name))
  refuseUndefined(Object.fromEntries(written.map((name) => [name, value[name]])), path, problems)
}

/** In whatever realm it was made: a test runner's or a worker's Object is not this module's. */
function isPlainData(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  if (Array.isArray(value) || prototype === null) return true
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'hasOwnProperty')
}

type Issue = z.core.$ZodIssue

function addIssue(issue: Issue, prefix: readonly PropertyKey[], input: unknown, problems: Problems): void {
  const path = [...prefix, ...issue.path]
  if (issue.code === 'unrecognized_keys') {
    const known = issue.message.split(' ')
    for (const key of issue.keys) {
      problems.add([...path, key], `is not a key here${formatChoice(key, known, 'key')}`, 'name')
    }
  } else if (issue.code === 'invalid_key') {
    for (const inner of issue.issues) problems.add(path, inner.message, 'name')
  } else if (issue.code === 'invalid_union' && closestBranch(issue.errors) !== undefined) {
    for (const inner of closestBranch(issue.errors) ?? []) addIssue(inner, path, input, problems)
  } else problems.add(path, explain(issue, path, input))
}

/** What is wrong at a place, and what can stand there. */
function explain(issue: Issue, path: readonly PropertyKey[], input: unknown): string {
  const forms = formsOf(issue)
  if (forms === undefined) return issue.message
  const parent = valueAt(input, path.slice(0, -1))
  const value = valueAt(input, path)
  if (value !== undefined || path.length === 0) {
    const meant = typeof value === 'string' && issue.code === 'invalid_value' ? didYouMean(value, issue) : ''
    return `must be ${forms}, not ${describeType(value)}${meant}`
  }
  if (!isObject(parent) || !Object.hasOwn(parent, path[path.length - 1] as PropertyKey)) {
    return `is missing: it must be ${forms}`
  }
  return `is undefined, as an environment variable is that is not set: it must be ${forms}`
}

/** What a value must be; undefined where the message of the schema says it all. */
function formsOf(issue: Issue): string | undefined {
  // The one union without a message of this schema's is that of JSON values.
  if (issue.code === 'invalid_union')
    return issue.message === 'Invalid input' ? 'a JSON value' : issue.message
  if (issue.code === 'invalid_value') return issue.values.map((value) => JSON.stringify(value)).join(' or ')
  if (issue.code !== 'invalid_type') return undefined
  return typeNames[issue.expected] ?? issue.expected
}

const typeNames: { readonly [expected: string]: string } = {
  array: 'an array',
  boolean: 'true or false',
  int: 'a whole number',
  number: 'a number',
  object: 'an object',
  record: 'an object',
  string: 'a string',
}

/** Never the value itself: it could be a secret that stands in the wrong place. */
function describeType(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'number') return Number.isFinite(value) ? 'a number' : String(value)
  if (typeof value === 'object') return 'an object'
  if (typeof value === 'string') return value === '' ? 'an empty string' : 'this string'
  return `a ${typeof value}`
}

function didYouMean(value: string, issue: Extract<Issue, { code: 'invalid_value' }>): string {
  const meant = nearest(
    value,
    issue.values.filter((name) => typeof name === 'string'),
  )
  return meant === undefined ? '' : `; did you mean ${JSON.stringify(meant)}?`
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let found = value
  for (const key of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, key)) return undefined
    found = (found as Record<PropertyKey, unknown>)[key]
  }
  return found
}

/** Of several forms that a value could have had, the one that it was meant to have. */
function closestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  const isAboutTheWhole = (issue: Issue) =>
    issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_value')
  return branches.find((issues) => !issues.some(isAboutTheWhole))
}

function createProblems(policy: unknown): Problems {
  const issues: PolicyIssue[] = []
  return {
    add(path, message, part = 'value') {
      const problem: PolicyIssue = { path: formatPath(path), message, ...locate(policy, path, part) }
      if (!issues.some((known) => known.path === problem.path && known.message === message))
        issues.push(problem)
    },
    has: (place) =>
      issues.some(
        ({ path }) => path === place || path.startsWith(`${place}.`) || path.startsWith(`${place}[`),
      ),
    throwIfAny() {
      if (issues.length > 0) throw new PolicyError(issues)
    },
  }
}
