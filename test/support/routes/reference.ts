/**
 * A second, simple implementation of the documented routing. It shares no code with the library, and lists
 * every candidate where the library uses a tree.
 */

/** The requirement of a route. */
export type RouteAccess = 'public' | 'authenticated' | { readonly scope: string }

/** A route that the policy declares and an app has a handler for. */
export interface DeclaredRoute {
  readonly key: string
  readonly methods: readonly string[]
  /** As in the policy: literals, `:name`, and a final `*`. */
  readonly segments: readonly string[]
  readonly hasTrailingSlash: boolean
  readonly access: RouteAccess
}

/** The credentials of a caller: none, or a token with these scopes. */
export type Credential = 'none' | ReadonlySet<string>

export interface Semantics {
  readonly caseSensitive: boolean
  readonly strict: boolean
  readonly wildcardMatchesEmpty: boolean
}

export function declare(
  methods: readonly string[],
  segments: readonly string[],
  access: RouteAccess,
  hasTrailingSlash = false,
): DeclaredRoute {
  const slash = hasTrailingSlash && segments.length > 0 && segments[segments.length - 1] !== '*'
  const key = `${methods.join(',')} /${segments.join('/')}${slash ? '/' : ''}`
  return { key, methods, segments, access, hasTrailingSlash: slash }
}

export function pathOf({ key }: DeclaredRoute): string {
  return key.slice(key.indexOf(' ') + 1)
}

/** Whether a credential satisfies the requirement of a handler. */
export function satisfies(credential: Credential, access: RouteAccess): boolean {
  if (access === 'public') return true
  if (credential === 'none') return false
  return access === 'authenticated' || credential.has(access.scope)
}

type Kind = 'literal' | 'param' | 'rest' | 'end'
const order: readonly Kind[] = ['literal', 'param', 'end', 'rest']

function kindOf(segment: string | undefined): Kind {
  if (segment === undefined) return 'end'
  if (segment === '*') return 'rest'
  return segment.startsWith(':') ? 'param' : 'literal'
}

/** 0 if the route has the method, 1 if its GET matches HEAD, 2 for `*`, else undefined. */
function methodRank({ methods }: DeclaredRoute, method: string): number | undefined {
  if (methods.includes(method)) return 0
  if (method === 'HEAD' && methods.includes('GET')) return 1
  return methods.includes('*') ? 2 : undefined
}

/** The most specific first, by path. */
function comparePaths(one: DeclaredRoute, other: DeclaredRoute): number {
  const length = Math.max(one.segments.length, other.segments.length)
  for (let index = 0; index < length; index++) {
    const difference =
      order.indexOf(kindOf(one.segments[index])) - order.indexOf(kindOf(other.segments[index]))
    if (difference !== 0) return difference
  }
  return 0
}

/** The order in which an app must register its handlers, so that each handles the requests of its key. */
export function inOrder(routes: readonly DeclaredRoute[]): readonly DeclaredRoute[] {
  return [...routes].sort((one, other) => comparePaths(one, other) || methodOrder(one) - methodOrder(other))
}

/** Routers handle HEAD with a GET handler, unless a HEAD handler is registered before it. */
function methodOrder({ methods }: DeclaredRoute): number {
  if (methods.includes('*')) return 2
  return methods.includes('HEAD') ? 0 : 1
}

function matches(route: DeclaredRoute, path: string, semantics: Semantics): boolean {
  const slash = path.length > 1 && path.endsWith('/')
  const texts = path === '/' ? [] : path.slice(1, slash ? -1 : undefined).split('/')
  const hasRest = route.segments[route.segments.length - 1] === '*'
  if (semantics.strict && !hasRest && slash !== route.hasTrailingSlash) return false
  const fixed = hasRest ? route.segments.slice(0, -1) : route.segments
  if (
    hasRest
      ? texts.length < fixed.length + (semantics.wildcardMatchesEmpty ? 0 : 1)
      : texts.length !== fixed.length
  ) {
    return false
  }
  return fixed.every((segment, index) => {
    const text = texts[index] as string
    if (segment.startsWith(':')) return text !== ''
    return semantics.caseSensitive ? segment === text : segment.toLowerCase() === text.toLowerCase()
  })
}

/** The most specific of all routes that match a request. */
export function findReference(
  routes: readonly DeclaredRoute[],
  method: string,
  path: string,
  semantics: Semantics,
): DeclaredRoute | undefined {
  return routes
    .filter((route) => methodRank(route, method) !== undefined && matches(route, path, semantics))
    .sort(
      (one, other) =>
        comparePaths(one, other) ||
        (methodRank(one, method) as number) - (methodRank(other, method) as number),
    )[0]
}

/** Whether every caller that satisfies `other` also satisfies `route`. */
function isAtMostAsStrict(route: DeclaredRoute, other: DeclaredRoute): boolean {
  if (route === other || route.access === 'public') return true
  return route.access === 'authenticated' && other.access !== 'public'
}

export const asExpress: Semantics = { caseSensitive: false, strict: false, wildcardMatchesEmpty: false }
export const asHono: Semantics = { caseSensitive: true, strict: true, wildcardMatchesEmpty: true }

/**
 * Whether a request must be matched to this route. It may be denied if its spelling differs from the key of
 * the closest route and a router with other settings, for letter case or slashes, would run a handler that
 * requires more.
 */
export function mustMatch(
  routes: readonly DeclaredRoute[],
  method: string,
  path: string,
  route: DeclaredRoute,
  semantics: Semantics,
): boolean {
  if (findReference(routes, method, path, semantics) !== route) return false
  const forgiving = { caseSensitive: false, strict: false, wildcardMatchesEmpty: true }
  const closest = findReference(routes, method, path, forgiving)
  if (closest === route && matches(route, path, { ...semantics, caseSensitive: true, strict: true }))
    return true
  return routes
    .filter((other) => methodRank(other, method) !== undefined && matches(other, path, forgiving))
    .every((other) => isAtMostAsStrict(other, route))
}
