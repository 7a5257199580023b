import type { Json } from '../lib/json.js'
import { isSameJson, parsePointer, resolvePointer } from './json-pointer.js'

/** The keys that compare one value. */
export interface Comparison {
  readonly equals?: unknown
  readonly in?: readonly unknown[] | undefined
  readonly min?: number | undefined
  readonly max?: number | undefined
  readonly exists?: boolean | undefined
}

interface ElementConstraint extends Comparison {
  readonly includes?: string | readonly string[] | undefined
  readonly param?: string | undefined
}

/** A constraint on a claim, parsed. */
export interface Constraint extends ElementConstraint {
  readonly some?: { readonly [pointer: string]: ElementConstraint } | undefined
}

/** Whether a claim meets a constraint. `params` are the path parameters of the request. */
export type ConstraintCheck = (
  value: Json | undefined,
  params: { readonly [name: string]: string },
) => boolean

/** Compiles a constraint on one claim. All of its keys must hold. */
export function compileConstraint(constraint: Constraint): ConstraintCheck {
  const { equals, in: oneOf, min, max, exists, param, includes, some } = constraint
  if (exists === false) return (value) => value === undefined
  const included = includes === undefined ? undefined : [includes].flat()
  const members = some && Object.entries(some).map(([pointer, inner]) => compileMember(pointer, inner))
  const checks: ValueCheck[] = []
  if (Object.hasOwn(constraint, 'equals')) checks.push((value) => isSameJson(value, equals))
  if (oneOf !== undefined) checks.push((value) => isOneOf(value, oneOf))
  if (min !== undefined || max !== undefined) checks.push((value) => isInRange(value, min, max))
  if (included !== undefined) checks.push((value) => includesAll(value, included))
  if (members !== undefined) checks.push((value, params) => hasElement(value, members, params))
  if (param !== undefined) checks.push((value, params) => isParameter(value, params, param))
  return (value, params) => value !== undefined && checks.every((check) => check(value, params))
}

/** Reports constraints that no value can meet, by their path within the constraint. */
export function findConstraintProblems(
  constraint: Constraint,
  report: (path: readonly PropertyKey[], message: string) => void,
): void {
  const { exists, min, max, some = {} } = constraint
  if (min !== undefined && max !== undefined && min > max) report([], 'min is greater than max')
  if (exists === false && Object.keys(constraint).length > 1)
    report([], 'exists false contradicts the other keys: remove them')
  if (!isEqualsInRange(constraint)) report([], 'equals is outside min and max')
  for (const [pointer, inner] of Object.entries(some))
    findConstraintProblems(inner, (path, message) => report(['some', pointer, ...path], message))
}

/** Reports numbers that another reader of the same JSON could take for another number. */
export function findInexactNumbers(
  { equals, in: oneOf, min, max }: Comparison,
  report: (path: readonly PropertyKey[], message: string) => void,
): void {
  const entries = Object.entries({ equals, in: oneOf, min, max })
  for (const [key, value] of entries) {
    if (!isExact(value))
      report([key], 'has an integer beyond 2^53 - 1, which JSON numbers cannot hold exactly')
  }
}

/** Whether no integer in the value is beyond the range in which each one has a number of its own. */
export function isExact(value: unknown): boolean {
  if (typeof value === 'number') return Number.isSafeInteger(value) || !Number.isInteger(value)
  if (typeof value !== 'object' || value === null) return true
  return Object.values(value).every(isExact)
}

function isEqualsInRange({ equals, min, max }: Comparison): boolean {
  if (equals === undefined || (min === undefined && max === undefined)) return true
  return typeof equals === 'number' && isInRange(equals, min, max)
}

/** A check of a claim that the token has. */
type ValueCheck = (value: Json, params: Parameters<ConstraintCheck>[1]) => boolean

function isOneOf(value: Json, candidates: readonly unknown[]): boolean {
  return candidates.some((candidate) => isSameJson(value, candidate))
}

function isInRange(value: Json, min: number | undefined, max: number | undefined): boolean {
  return typeof value === 'number' && value >= (min ?? value) && value <= (max ?? value)
}

interface MemberCheck {
  readonly pointer: readonly string[]
  readonly check: ConstraintCheck
}

function compileMember(pointer: string, constraint: ElementConstraint): MemberCheck {
  return { pointer: parsePointer(pointer), check: compileConstraint(constraint) }
}

/** One element must meet all checks. The position in the array does not matter. */
function hasElement(
  value: Json,
  members: readonly MemberCheck[],
  params: Parameters<ConstraintCheck>[1],
): boolean {
  const isMet = (element: Json) =>
    members.every(({ pointer, check }) => check(resolvePointer(element, pointer), params))
  return Array.isArray(value) && value.some(isMet)
}

/** Whether each text is an element of the array or a word of the space-separated string. */
function includesAll(value: Json, texts: readonly string[]): boolean {
  const words = typeof value === 'string' ? value.split(' ') : value
  return Array.isArray(words) && texts.every((text) => words.includes(text))
}

/** Compares a claim with a parameter: as a string, or as the decimal form of a safe integer. */
function isParameter(value: Json, params: { readonly [name: string]: string }, name: string): boolean {
  if (!Object.hasOwn(params, name)) return false
  if (typeof value === 'string') return value === params[name]
  return Number.isSafeInteger(value) && String(value) === params[name]
}
