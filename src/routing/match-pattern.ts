import type { Segment } from '../policy/route-key.js'
import { isPlainPath } from '../request/path.js'
import type { KnownRoute, RequestFacts } from '../request/request.js'
import {
  type Access,
  accessFor,
  accessOfPreflight,
  type RoutingPolicy,
  undecidable,
  unmatched,
} from './access.js'
import { bindPattern, readRoutePattern } from './route-pattern.js'
import type { RoutingSemantics } from './table.js'

/** Finds the rule of the key that has the shape of a framework's pattern. No path is looked up. */
export function matchRoute(
  policy: RoutingPolicy,
  request: RequestFacts,
  { route, params, method }: KnownRoute,
): Access {
  if (route === undefined) return undecidable(policy, 'the framework has matched no route', method, '')
  const pattern = readRoutePattern(route)
  if (pattern === undefined) {
    return undecidable(policy, 'the pattern of routing.route has no shape that a key can have', method, route)
  }
  const bound = bindPattern(pattern, params)
  if (bound === undefined) {
    const reason =
      'routing.params lacks a parameter of routing.route, or one is not the text of one segment, or has a dot segment'
    return undecidable(policy, reason, method, route)
  }
  const { segments, hasTrailingSlash, values } = bound
  const { routes } = policy
  const found = routes.findShape(method, segments, hasTrailingSlash)
  if (found !== undefined) {
    const names = found.segments.flatMap((segment) => (segment.kind === 'param' ? [segment.name] : []))
    const named = names.map((name, index) => [name, values[index] as string] as const)
    return accessFor(policy, found, Object.fromEntries(named))
  }
  // Paths that this pattern matches may be declared under another pattern: `unmatched` is for none of them.
  if (routes.overlaps(method, segments)) {
    return undecidable(policy, 'no key has the shape of routing.route, but one overlaps it', method, route)
  }
  const isPreflight = policy.preflight && request.isPreflight && method === 'OPTIONS'
  if (
    isPreflight &&
    (routes.isDeclaredShape(segments, hasTrailingSlash) || isDeclaredBelow(segments, request))
  ) {
    return accessOfPreflight
  }
  return unmatched(policy, method, route)

  /** CORS plugins answer every preflight in one handler for `*`: the path alone tells what it is for. */
  function isDeclaredBelow(segments: readonly Segment[], { path }: RequestFacts): boolean {
    return segments[0]?.kind === 'rest' && isPlainPath(path) && routes.isDeclaredPath(path, exact)
  }
}

const exact: RoutingSemantics = { caseSensitive: true, strict: true, emptyRest: true }
