import { registeredMethods } from '../../policy/methods.js'
import type { Policy } from '../../policy/policy.js'
import { parseRouteKey, type Segment } from '../../policy/route-key.js'
import { createRouteTable, type Route, type RoutingSemantics } from '../../routing/table.js'
import type { Report } from './finding.js'

/** Every way in which a supported framework may read paths. */
export const everySemantics: readonly RoutingSemantics[] = [true, false].flatMap((caseSensitive) =>
  [true, false].flatMap((strict) =>
    [true, false].map((wildcardMatchesEmpty) => ({ caseSensitive, strict, wildcardMatchesEmpty })),
  ),
)

/** The keys of a policy, in a form that can be looked up; the rules themselves do not matter for that. */
export function routesOf(policy: Policy): Route[] {
  return Object.keys(policy.routes).flatMap((key) => {
    const route = parseRouteKey(key)
    return route === undefined ? [] : [{ ...route, access: 'authenticated' as const }]
  })
}

/** The methods that a key names. */
export function methodsOf({ methods }: Route): readonly string[] {
  return methods.includes('*') ? registeredMethods : methods
}

/** Paths that a pattern matches, with these texts in place of its parameters. */
export function samplePaths(segments: readonly Segment[], hasTrailingSlash: boolean): readonly string[] {
  const texts = segments.flatMap((segment, index) =>
    segment.kind === 'wildcard' ? [] : [segment.kind === 'literal' ? segment.text : `any!${index}`],
  )
  const path = `/${texts.join('/')}`
  if (segments.at(-1)?.kind !== 'wildcard') return [hasTrailingSlash ? `${path}/` : path]
  const base = path === '/' ? '' : path
  return [`${base}/any!rest`, `${base}/any!rest/any!more`, path]
}

/** The metadata of RFC 9728, which the adapters answer themselves. */
const metadataPath = '/.well-known/oauth-protected-resource'

export function findUnreachableKeys(policy: Policy, report: Report): void {
  const routes = routesOf(policy)
  const table = createRouteTable(routes)
  const isReachable = (route: Route) =>
    methodsOf(route).some((method) =>
      samplePaths(route.segments, route.hasTrailingSlash).some((path) =>
        everySemantics.some((semantics) => table.findRoute(method, path, semantics) === route),
      ),
    )
  for (const route of routes) {
    if (route.path === metadataPath || route.path.startsWith(`${metadataPath}/`))
      report(
        'unreachable-key',
        ['routes', route.key],
        'no request comes to this key: the adapters serve the metadata of RFC 9728 at this path themselves',
      )
    else if (!isReachable(route))
      report(
        'unreachable-key',
        ['routes', route.key],
        'no request comes to this key: more specific keys take every path and method of it',
      )
  }
}

/** A public path below a protected one: a slip in the pattern, or a hole that nobody sees in a review. */
export function findPublicUnderProtected(policy: Policy, report: Report): void {
  const routes = routesOf(policy)
  const isPublic = ({ key }: Route) => policy.routes[key] === 'public'
  const protectedRoutes = routes.filter((route) => !isPublic(route))
  for (const route of routes.filter(isPublic)) {
    const above = protectedRoutes.find((other) => isBelow(route, other) && shareMethod(route, other))
    if (above === undefined) continue
    report(
      'public-under-protected',
      ['routes', route.key],
      `is public, and lies under ${JSON.stringify(above.key)}, which is not`,
    )
  }
}

function isBelow({ segments }: Route, { segments: above }: Route): boolean {
  const prefix = above.at(-1)?.kind === 'wildcard' ? above.slice(0, -1) : above
  // Everything lies under the root: that says nothing.
  if (prefix.length === 0 || prefix.length >= segments.length) return false
  return prefix.every((segment, index) => mayBeSame(segment, segments[index]))
}

function mayBeSame(one: Segment, other: Segment | undefined): boolean {
  if (other === undefined) return false
  if (one.kind !== 'literal' || other.kind !== 'literal') return other.kind !== 'wildcard'
  return one.text.toLowerCase() === other.text.toLowerCase()
}

function shareMethod(one: Route, other: Route): boolean {
  return methodsOf(one).some((method) => methodsOf(other).includes(method))
}
