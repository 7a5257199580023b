import { toArray } from '../lib/to-array.js'
import type { PolicyData, RuleData } from '../policy/schema.js'
import { type Cause, describe, Refusal } from '../refusal.js'
import type { Check } from './rule-input.js'

/** The scopes that include each scope, directly or not. */
export type IncludedScopes = ReadonlyMap<string, ReadonlySet<string>>

/** Compiles `scopes` of a policy. */
export function compileScopes(scopes: PolicyData['scopes'] = {}): IncludedScopes {
  const includedIn = new Map<string, Set<string>>()
  for (const scope of Object.keys(scopes)) {
    for (const included of scopesBelow(scope, scopes)) {
      const above = includedIn.get(included) ?? new Set()
      includedIn.set(included, above.add(scope))
    }
  }
  return includedIn
}

/** The scopes that a scope includes. It includes itself where the policy has a circle. */
function scopesBelow(scope: string, scopes: NonNullable<PolicyData['scopes']>): ReadonlySet<string> {
  const below = new Set<string>()
  const pending = [scope]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    for (const included of toArray(scopes[next] ?? [])) {
      if (below.has(included)) continue
      below.add(included)
      pending.push(included)
    }
  }
  return below
}

/** The scopes that include themselves: nobody can tell what was meant. */
export function findScopeCircles(scopes: PolicyData['scopes'] = {}): readonly string[] {
  return Object.keys(scopes).filter((scope) => scopesBelow(scope, scopes).has(scope))
}

export interface RequiredScopes {
  readonly names: readonly string[]
  /** Whether one of the scopes is enough. */
  readonly isAnyEnough: boolean
}

export function readScopes(scope: RuleData['scope']): RequiredScopes | undefined {
  if (scope === undefined) return undefined
  if (typeof scope === 'object' && 'any' in scope) return { names: scope.any, isAnyEnough: true }
  return { names: toArray(scope), isAnyEnough: false }
}

export function checkScope({ names: scopes, isAnyEnough }: RequiredScopes, included: IncludedScopes): Check {
  const expected = describe(scopes.join(isAnyEnough ? ' or ' : ' '))
  const above = new Map(scopes.map((scope) => [scope, [scope, ...(included.get(scope) ?? [])]]))
  return ({ token }, observer) => {
    observer?.begin('scope', expected, token.scopes.join(' '))
    const has = (scope: string) => above.get(scope)?.some((name) => token.scopes.includes(name)) === true
    if (isAnyEnough ? scopes.some(has) : scopes.every(has)) return undefined
    const missing = scopes.filter((scope) => !has(scope)).join(isAnyEnough ? ' or ' : ' ')
    const cause: Cause = {
      reason: `the token does not have the scope ${describe(missing)}`,
      claim: token.names.scope,
      expected,
      found: describe(token.scopes.join(' ')),
    }
    return new Refusal('scope_insufficient', cause, { scope: scopes.join(' ') })
  }
}
