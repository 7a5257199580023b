import type { Json } from '../decision.js'
import { isSameJson, parsePointer, resolvePointer } from './json-pointer.js'
import type { ConstraintData } from './schema.js'

/** Whether a claim meets a constraint. `params` are the path parameters that `param` refers to. */
export type ConstraintCheck = (
  value: Json | undefined,
  params: { readonly [name: string]: string },
) => boolean

/** Turns a constraint on one claim into a check: all of its keys have to hold. */
export function compileConstraint(constraint: ConstraintData): ConstraintCheck {
  const { equals, in: oneOf, min, max, exists, param, includes, some } = constraint
  const hasEquals = Object.hasOwn(constraint, 'equals')
  const included = includes === undefined ? undefined : [includes].flat()
  const members =
    some &&
    Object.entries(some).map(([pointer, inner]) => ({
      pointer: parsePointer(pointer),
      check: compileConstraint(inner as ConstraintData),
    }))
  return (value, params) => {
    if (exists === false) return value === undefined
    if (value === undefined) return false
    if (hasEquals && !isSameJson(value, equals as Json)) return false
    if (oneOf?.some((candidate) => isSameJson(value, candidate as Json)) === false) return false
    if (min !== undefined && !(typeof value === 'number' && value >= min)) return false
    if (max !== undefined && !(typeof value === 'number' && value <= max)) return false
    if (included !== undefined && !includesAll(value, included)) return false
    if (members !== undefined) {
      // One element has to meet all of them: an array is never taken by position.
      const isMet = (element: Json) =>
        members.every(({ pointer, check }) => check(resolvePointer(element, pointer), params))
      if (!Array.isArray(value) || !value.some(isMet)) return false
    }
    return param === undefined || isParameter(value, params, param)
  }
}

/** Each text is an element of the array, or a word of the blank-separated string. */
function includesAll(value: Json, texts: readonly string[]): boolean {
  const words = typeof value === 'string' ? value.split(' ') : value
  return Array.isArray(words) && texts.every((text) => words.includes(text))
}

/** A parameter is text: a claim equals it as a string, or as the decimal form of an exact integer. */
function isParameter(value: Json, params: { readonly [name: string]: string }, name: string): boolean {
  if (!Object.hasOwn(params, name)) return false
  if (typeof value === 'string') return value === params[name]
  return Number.isSafeInteger(value) && String(value) === params[name]
}
