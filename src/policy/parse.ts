import * as z from 'zod/mini'
import { formatChoice, nearest } from '../lib/nearest.js'
import { isObject } from '../lib/objects.js'
import { isPlainData, maxDepth, snapshot } from '../lib/plain-data.js'
import { formatPath } from './error.js'
import { type CompiledIssuer, compileIssuer, type IssuerDefaults } from './issuer.js'
import { findIssuerProblems } from './issuer-problems.js'
import { withKnownServer, withKnownServers } from './known-server.js'
import { createProblems, type ParsedPolicy, type Problems } from './problems.js'
import { handlerRuleSchema, handlerRulesSchema, issuerSchema, type RuleData, schema } from './schema.js'

export function parsePolicy(policy: unknown): ParsedPolicy {
  const problems = createProblems(policy)
  const input = snapshot(policy)
  refuseUnsafeData(policy, [], problems)
  const result = schema.safeParse(input)
  for (const issue of result.error?.issues ?? []) addIssue(issue, [], input, problems)
  if (isObject(input)) {
    refuseUndefined(input.routes, ['routes'], problems)
    refuseUndefined(input.agents, ['agents'], problems)
    refuseUndefinedOfIssuers(input.issuer, problems)
  }
  const data = withKnownServers(snapshot(result.success ? result.data : validParts(input)))
  const routes = isObject(input) ? input.routes : undefined
  return { data, routeKeys: isObject(routes) ? Object.keys(routes) : [], problems }
}

/** Parses and compiles one entry of `issuer`. Throws PolicyError if it is wrong. */
export function parseIssuer(issuer: unknown, defaults: IssuerDefaults): CompiledIssuer {
  const problems = createProblems(issuer)
  const input = snapshot(typeof issuer === 'string' ? { url: issuer } : issuer)
  refuseUnsafeData(issuer, [], problems)
  const result = issuerSchema.safeParse(input)
  for (const issue of result.error?.issues ?? []) addIssue(issue, [], input, problems)
  refuseUndefinedOfIssuer(input, [], problems)
  problems.throwIfAny()
  if (!result.success) throw result.error
  const entry = withKnownServer(snapshot(result.data))
  const compiled = compileIssuer(entry, defaults)
  findIssuerProblems(entry, compiled, defaults, (path, message) => problems.add(path, message))
  problems.throwIfAny()
  return compiled
}

/** Parses a rule. Throws PolicyError if it is malformed. */
export function parseRule(rule: unknown): RuleData {
  return parseStrictly(handlerRuleSchema, rule)
}

/** Parses rules of handlers by their names. Throws PolicyError with all problems. */
export function parseRules(rules: unknown): Readonly<Record<string, RuleData>> {
  return parseStrictly(handlerRulesSchema, rules)
}

/** Parses rules that are no policy. Throws PolicyError with all problems. */
export function parseStrictly<T extends z.ZodMiniType>(shape: T, value: unknown): z.infer<T> {
  const problems = createProblems(value)
  const input = snapshot(value)
  refuseUnsafeData(value, [], problems)
  const result = z.safeParse(shape, input)
  for (const issue of result.error?.issues ?? []) addIssue(issue, [], input, problems)
  refuseUndefined(input, [], problems)
  problems.throwIfAny()
  if (!result.success) throw result.error
  return snapshot(result.data)
}

/** Keys whose members no other part of the policy refers to. */
const independentMembers: readonly string[] = ['routes', 'agents', 'scopes']

/** Parses each key alone, so that one wrong key does not hide mistakes elsewhere. */
function validParts(input: unknown): Record<string, unknown> {
  const parts: Record<string, unknown> = {}
  if (!isObject(input)) return parts
  const keySchemas: Readonly<Record<string, z.ZodMiniType>> = schema.shape
  for (const [key, keySchema] of Object.entries(keySchemas)) {
    const value = input[key]
    const result = keySchema.safeParse(value)
    if (result.success && result.data !== undefined) parts[key] = result.data
    else if (independentMembers.includes(key) && isObject(value)) {
      parts[key] = Object.fromEntries(
        Object.entries(value).filter(([name, member]) => keySchema.safeParse({ [name]: member }).success),
      )
    }
  }
  return parts
}

/** Refuses data that the schema ignores or does not see: `__proto__`, class instances, deep nesting. */
function refuseUnsafeData(value: unknown, path: readonly PropertyKey[], problems: Problems): void {
  if (typeof value !== 'object' || value === null || path.length > maxDepth) return
  if (path.length === maxDepth) problems.add(path, `nests more than ${maxDepth} levels`)
  if (!isPlainData(value)) problems.add(path, 'must be plain data, as in JSON')
  for (const [name, member] of Object.entries(value)) {
    const place = [...path, Array.isArray(value) ? Number(name) : name]
    if (name === '__proto__') problems.add(place, 'is a reserved name: rename it', 'name')
    refuseUnsafeData(member, place, problems)
  }
}

/** Members of a rule that are not conditions on a token. */
const flags: ReadonlySet<string> = new Set(['once', 'anonymous', 'mode'])

/**
 * Refuses undefined conditions, which the schema treats as absent: `{ scope: process.env.SCOPE }` would
 * accept every token if the variable is not set.
 */
function refuseUndefined(value: unknown, path: readonly PropertyKey[], problems: Problems): void {
  if (typeof value !== 'object' || value === null || path.length > maxDepth) return
  for (const [name, member] of Object.entries(value)) {
    const place = [...path, Array.isArray(value) ? Number(name) : name]
    if (member !== undefined) refuseUndefined(member, place, problems)
    else if (!flags.has(name) && !problems.has(formatPath(place))) {
      problems.add(
        place,
        'is undefined (an environment variable that is not set?): set it, or remove the key',
      )
    }
  }
}

function refuseUndefinedOfIssuers(value: unknown, problems: Problems): void {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) refuseUndefinedOfIssuer(item, ['issuer', index], problems)
  } else refuseUndefinedOfIssuer(value, ['issuer'], problems)
}

/** Members of an issuer's entry that restrict the accepted tokens. */
const narrowing = ['audience', 'claims', 'header', 'token'] as const

function refuseUndefinedOfIssuer(value: unknown, path: readonly PropertyKey[], problems: Problems): void {
  if (!isObject(value)) return
  const written = narrowing.filter((name) => Object.hasOwn(value, name))
  refuseUndefined(Object.fromEntries(written.map((name) => [name, value[name]])), path, problems)
}

type Issue = z.core.$ZodIssue

function addIssue(issue: Issue, prefix: readonly PropertyKey[], input: unknown, problems: Problems): void {
  const path = [...prefix, ...issue.path]
  if (issue.code === 'unrecognized_keys') {
    const [names = '', elsewhere = '{}'] = issue.message.split('\n')
    const places = new Map<string, unknown>(Object.entries(JSON.parse(elsewhere)))
    for (const key of issue.keys) {
      const message = places.get(key) ?? `is not a key here${formatChoice(key, names.split(' '), 'key')}`
      problems.add([...path, key], String(message), 'name')
    }
  } else if (issue.code === 'invalid_key') {
    for (const inner of issue.issues) problems.add(path, inner.message, 'name')
  } else if (issue.code === 'invalid_union' && closestBranch(issue.errors) !== undefined) {
    for (const inner of closestBranch(issue.errors) ?? []) addIssue(inner, path, input, problems)
  } else problems.add(path, explain(issue, path, input))
}

/** Says what is wrong at this path, and which values are allowed. */
function explain(issue: Issue, path: readonly PropertyKey[], input: unknown): string {
  const forms = allowedForms(issue)
  if (forms === undefined) return issue.message
  const parent = valueAt(input, path.slice(0, -1))
  const value = valueAt(input, path)
  const key = path.at(-1)
  if (value !== undefined || key === undefined) {
    const meant = typeof value === 'string' && issue.code === 'invalid_value' ? didYouMean(value, issue) : ''
    return `must be ${forms}, not ${describeType(value)}${meant}`
  }
  if (!isObject(parent) || !Object.hasOwn(parent, key)) {
    return `is missing: it must be ${forms}`
  }
  return `is undefined (an environment variable that is not set?): it must be ${forms}`
}

/** The allowed values. Undefined if the message of the schema is complete. */
function allowedForms(issue: Issue): string | undefined {
  // Only the union of JSON values has no message in the schema.
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

/** Never the value itself, which could be a misplaced secret. */
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
    found = Reflect.get(found, key)
  }
  return found
}

/** The branch of a union that the value was probably written for. */
function closestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  const isWrongType = (issue: Issue) =>
    issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_value')
  return branches.find((issues) => !issues.some(isWrongType))
}
