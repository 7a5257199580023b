import { type Cause, describe } from '../refusal.js'
import type { Rule } from '../rules/rule.js'
import type { Route, RouteTable } from './table.js'

/** The part of a policy that selects the rule of a request. */
export interface RoutingPolicy {
  readonly routes: RouteTable
  readonly preflight: boolean
  readonly unmatched: 'deny' | 'authenticate' | 'public'
  readonly authenticated: Rule
  /** Whether no route is enforced. */
  readonly areAllRoutesObserved: boolean
}

/** The rule for a request, selected by method and path. */
export interface Access {
  /** `undeclared`: denied, with `route_not_declared` only for authenticated callers. */
  readonly kind: 'public' | 'undeclared' | Rule
  /** The path pattern that matched. */
  readonly route: string | undefined
  readonly params: { readonly [name: string]: string }
  /** Why the request is undeclared. */
  readonly cause: Cause | undefined
  /**
   * Set if the request could reach an enforced route: then `mode: 'observe'` of the policy does not apply.
   */
  readonly mode: 'enforce' | undefined
}

const noParams = Object.freeze({})

export function accessFor(policy: RoutingPolicy, { access, path }: Route, params: Access['params']): Access {
  const kind = access === 'authenticated' ? policy.authenticated : access
  return { kind, route: path, params, cause: undefined, mode: undefined }
}

/** A CORS preflight that passes. */
export const preflightAccess: Access = Object.freeze({
  kind: 'public',
  route: undefined,
  params: noParams,
  cause: undefined,
  mode: undefined,
})

/** No key of `routes` matches: `unmatched` of the policy applies. `target` is a path or a pattern. */
export function unmatchedAccess(policy: RoutingPolicy, method: string, target: string): Access {
  const access = { route: undefined, params: noParams, mode: undefined }
  if (policy.unmatched !== 'deny') {
    const kind = policy.unmatched === 'public' ? 'public' : policy.authenticated
    return { ...access, kind, cause: undefined }
  }
  const cause: Cause = {
    reason: 'no key of routes matches',
    expected: 'a key of routes',
    found: describe(`${method} ${target}`),
    unverified: true,
  }
  return { ...access, kind: 'undeclared', cause }
}

/** A router could run the handler of an enforced route: denied, also if the policy observes. */
export function ambiguousAccess(
  policy: RoutingPolicy,
  reason: string,
  method: string,
  target: string,
): Access {
  const cause: Cause = {
    reason,
    expected: 'a method and a path that every router reads alike',
    found: describe(`${method} ${target}`),
    unverified: true,
  }
  const mode = policy.areAllRoutesObserved ? undefined : 'enforce'
  return { kind: 'undeclared', route: undefined, params: noParams, cause, mode }
}
