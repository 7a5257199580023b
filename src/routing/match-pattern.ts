import type { Segment } from '../policy/route-key.js'
import { isPlainPath } from '../request/path.js'
import type { KnownRoute, RequestFacts } from '../request/request.js'
import {
  type Access,
  accessFor,
  ambiguousAccess,
  preflightAccess,
  type RoutingPolicy,
  unmatchedAccess,
} from './access.js'
import { bindPattern, readRoutePattern } from './route-pattern.js'
import type { Route, RoutingSemantics } from './table.js'

/** Finds the rule of the key with the shape of the matched pattern. No path is matched. */
export function matchRoute(
  policy: RoutingPolicy,
  request: RequestFacts,
  { route, params, method }: KnownRoute,
): Access {
  if (route === undefined) return ambiguousAccess(policy, 'the framework matched no route', method, '')
  const pattern = readRoutePattern(route)
  if (pattern === undefined) {
    return ambiguousAccess(policy, 'no key can have the shape of routing.route', method, route)
  }
  const bound = bindPattern(pattern, params)
  if (bound === undefined) {
    const reason =
      'a parameter of routing.route is missing in routing.params, is not one segment, or has a dot segment'
    return ambiguousAccess(policy, reason, method, route)
  }
  const { segments, hasTrailingSlash, values } = bound
  const { routes } = policy
  const found = routes.findShape(method, segments, hasTrailingSlash)
  if (found !== undefined) {
    return accessFor(policy, found, nameParams(found, values))
  }
  // Another pattern may declare paths that this pattern matches: `unmatched` does not apply to them.
  if (routes.overlaps(method, segments)) {
    return ambiguousAccess(
      policy,
      'no key has the shape of routing.route, but one overlaps it',
      method,
      route,
    )
  }
  const isPreflight = policy.preflight && request.isPreflight && method === 'OPTIONS'
  if (
    isPreflight &&
    (routes.isDeclaredShape(segments, hasTrailingSlash) || isDeclaredPath(segments, request))
  ) {
    return preflightAccess
  }
  return unmatchedAccess(policy, method, route)

  /** CORS plugins answer all preflights in one handler for `*`. Only the path shows the requested route. */
  function isDeclaredPath(segments: readonly Segment[], { path }: RequestFacts): boolean {
    return segments[0]?.kind === 'wildcard' && isPlainPath(path) && routes.isDeclaredPath(path, exact)
  }
}

/** The values of the pattern by the names that the key of the policy gives them. */
function nameParams({ segments }: Route, values: readonly string[]): Access['params'] {
  const names = segments.flatMap((segment) => (segment.kind === 'param' ? [segment.name] : []))
  return Object.fromEntries(names.map((name, index) => [name, values[index] ?? '']))
}

const exact: RoutingSemantics = { caseSensitive: true, strict: true, wildcardMatchesEmpty: true }
