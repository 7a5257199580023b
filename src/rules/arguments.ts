import type { Json } from '../lib/json.js'
import { compileConstraint } from '../policy/constraint.js'
import { isSameJson, parsePointer, resolvePointer } from '../policy/json-pointer.js'
import type { ArgumentConstraintData, ToolRuleData } from '../policy/mcp-schema.js'
import { describe, Refusal } from '../refusal.js'
import type { TokenClaims } from '../token/claims.js'
import type { Check } from './rule-input.js'

/** One check for each pointer into the arguments of an MCP tool or prompt. */
export function compileArguments(constraints: ToolRuleData['arguments'] = {}): readonly Check[] {
  return Object.entries(constraints).map(([pointer, constraint]) => checkArgument(pointer, constraint))
}

export function argumentCondition(pointer: string): string {
  return `arguments[${JSON.stringify(pointer)}]`
}

function checkArgument(pointer: string, constraint: ArgumentConstraintData): Check {
  const path = parsePointer(pointer)
  const isMet = compileArgument(constraint)
  const expected = describe(JSON.stringify(constraint))
  const name = argumentCondition(pointer)
  return ({ token, arguments: given }, observer) => {
    const value = given === undefined ? undefined : resolvePointer(given, path)
    observer?.begin(name, expected, value ?? 'nothing')
    if (given !== undefined && isMet(value, token.claims)) return undefined
    return new Refusal('argument_not_allowed', {
      reason: 'the argument does not meet the constraint of the rule',
      claim: describe(pointer),
      expected,
      found: describe(value),
      unverified: true,
    })
  }
}

type ArgumentCheck = (value: Json | undefined, claims: TokenClaims['claims']) => boolean

/** A missing argument meets nothing but `exists: false`. */
function compileArgument({ claim, minClaim, maxClaim, ...own }: ArgumentConstraintData): ArgumentCheck {
  const isMet = compileConstraint(own)
  const [equal, least, most] = [claim, minClaim, maxClaim].map((pointer) => pointer && parsePointer(pointer))
  return (value, claims) => {
    if (!isMet(value, {})) return false
    if (equal && !(value !== undefined && isSameJson(value, resolvePointer(claims, equal)))) return false
    if (least && !isAtMost(resolvePointer(claims, least), value)) return false
    return !most || isAtMost(value, resolvePointer(claims, most))
  }
}

function isAtMost(one: Json | undefined, other: Json | undefined): boolean {
  return typeof one === 'number' && typeof other === 'number' && one <= other
}
