import { isUnambiguousJson, type Json } from '../lib/json.js'
import { isObject } from '../lib/objects.js'
import { compileConstraint, isExact } from '../policy/constraint.js'
import type { ContentConstraintData, ContentConstraintsData } from '../policy/content-schema.js'
import { isSameJson, parsePointer, resolvePointer } from '../policy/json-pointer.js'
import { type CheckObserver, describe, Refusal } from '../refusal.js'
import type { TokenClaims } from '../token/claims.js'
import type { Check } from './rule-input.js'

/** The refusal of the first constraint that the content does not meet. */
export type ContentCheck = (
  content: unknown,
  claims: TokenClaims['claims'],
  observer?: CheckObserver,
) => Refusal | undefined

/** A part of a request with content: the key of the rule, and the words for a cause. */
const parts = {
  arguments: 'the argument',
  body: 'the member of the body',
} as const

/** Compiles constraints on the arguments of an MCP tool, or on a parsed body. */
export function compileContent(part: keyof typeof parts, constraints: ContentConstraintsData): ContentCheck {
  const checks = Object.entries(constraints).map(([pointer, constraint]) => {
    const path = parsePointer(pointer)
    const check = compileValue(contentCondition(part, pointer), pointer, parts[part], constraint)
    return (content: Json | undefined, claims: TokenClaims['claims'], observer?: CheckObserver) =>
      check(content === undefined ? undefined : resolvePointer(content, path), claims, observer)
  })
  return (content, claims, observer) => {
    if (content !== undefined && !isUnambiguousJson(content)) return ambiguous(part)
    for (const check of checks) {
      const refusal = check(content, claims, observer)
      if (refusal !== undefined) return refusal
    }
    return undefined
  }
}

export function contentCondition(part: string, name: string): string {
  return `${part}[${JSON.stringify(name)}]`
}

/** Compiles the constraint on one value. `what` names the kind of value in a cause. */
export function compileValue(
  condition: string,
  name: string,
  what: string,
  constraint: ContentConstraintData,
): (value: Json | undefined, claims: TokenClaims['claims'], observer?: CheckObserver) => Refusal | undefined {
  const isMet = compileContentConstraint(constraint)
  const expected = describe(JSON.stringify(constraint))
  return (value, claims, observer) => {
    observer?.begin(condition, expected, value ?? 'nothing')
    if (isMet(value, claims)) return undefined
    return new Refusal('argument_not_allowed', {
      reason: `${what} does not meet the constraint of the rule`,
      claim: describe(name),
      expected,
      found: describe(value),
      unverified: true,
    })
  }
}

function ambiguous(part: string): Refusal {
  return new Refusal('argument_not_allowed', {
    reason: `${part}: a member __proto__ or a value that is not JSON is in it`,
    expected: 'JSON that every reader reads alike',
    found: 'ambiguous JSON',
    unverified: true,
  })
}

type ContentConstraintCheck = (value: Json | undefined, claims: TokenClaims['claims']) => boolean

/** A missing value meets nothing but `exists: false`. */
function compileContentConstraint(constraint: ContentConstraintData): ContentConstraintCheck {
  const { claim, minClaim, maxClaim, ...own } = constraint
  const isMet = compileConstraint(own)
  const isCompared = Object.keys(constraint).some((key) => key !== 'exists')
  const [equal, least, most] = [claim, minClaim, maxClaim].map((pointer) => pointer && parsePointer(pointer))
  return (value, claims) => {
    if (!isMet(value, {})) return false
    if (equal && !(value !== undefined && isSameJson(value, resolvePointer(claims, equal)))) return false
    if (least && !isAtMost(resolvePointer(claims, least), value)) return false
    if (most && !isAtMost(value, resolvePointer(claims, most))) return false
    return !isCompared || isExact(value)
  }
}

function isAtMost(one: Json | undefined, other: Json | undefined): boolean {
  return isComparable(one) && isComparable(other) && one <= other
}

function isComparable(value: Json | undefined): value is number {
  return typeof value === 'number' && isExact(value)
}

/** The checks of the arguments of an MCP tool or prompt: an object, or nothing where the caller sent none. */
export function compileArguments(constraints: ContentConstraintsData = {}): readonly Check[] {
  if (Object.keys(constraints).length === 0) return []
  const check = compileContent('arguments', constraints)
  return [
    ({ token, arguments: given }, observer) =>
      given === undefined || isObject(given) ? check(given, token.claims, observer) : ambiguous('arguments'),
  ]
}
