import { type Cause, describe } from '../refusal.js'
import type { Rule } from '../rules/rule.js'
import type { Route, RouteTable } from './table.js'

/** The parts of a policy that decide which rule a request has. */
export interface RoutingPolicy {
  readonly routes: RouteTable
  readonly preflight: boolean
  readonly unmatched: 'deny' | 'authenticate' | 'public'
  readonly authenticated: Rule
  readonly isObservedThroughout: boolean
}

/** What the policy says of a request before anything is known of its sender. */
export interface Access {
  /** `undeclared`: nobody gets in, but only a caller who has authenticated is told so. */
  readonly kind: 'public' | 'undeclared' | Rule
  /** The path pattern that matched. */
  readonly route: string | undefined
  readonly params: { readonly [name: string]: string }
  /** Why the request is undeclared, and whether a route that it might be another spelling of is enforced. */
  readonly cause: Cause | undefined
  readonly mode: 'enforce' | undefined
}

const noParams = Object.freeze({})

export function accessTo(policy: RoutingPolicy, { access, path }: Route, params: Access['params']): Access {
  const kind = access === 'authenticated' ? policy.authenticated : access
  return { kind, route: path, params, cause: undefined, mode: undefined }
}

/** Of a CORS preflight that goes on. */
export const accessOfPreflight: Access = Object.freeze({
  kind: 'public',
  route: undefined,
  params: noParams,
  cause: undefined,
  mode: undefined,
})

/** No key of the policy could be meant: its `unmatched` applies, and its own mode. `target` is a path or a pattern. */
export function unmatched(policy: RoutingPolicy, method: string, target: string): Access {
  const access = { route: undefined, params: noParams, mode: undefined }
  if (policy.unmatched !== 'deny') {
    const kind = policy.unmatched === 'public' ? 'public' : policy.authenticated
    return { ...access, kind, cause: undefined }
  }
  const cause: Cause = {
    reason: 'no key of the policy matches',
    expected: 'a key of routes',
    found: describe(`${method} ${target}`),
    unverified: true,
  }
  return { ...access, kind: 'undeclared', cause }
}

/** Some router could run the handler of a route that is enforced: refused, unless none is. */
export function undecidable(policy: RoutingPolicy, reason: string, method: string, target: string): Access {
  const cause: Cause = { reason, found: describe(`${method} ${target}`), unverified: true }
  const mode = policy.isObservedThroughout ? undefined : 'enforce'
  return { kind: 'undeclared', route: undefined, params: noParams, cause, mode }
}
