import type { RouteKey, Segment } from '../policy/route-key.js'
import type { Rule } from '../rules/rule.js'
import { pick, RouteTree, type ValuesByMethod } from './tree.js'

/** A declared route. */
export interface Route extends RouteKey {
  readonly access: 'public' | 'authenticated' | Rule
}

/** How a framework matches paths. */
export interface RoutingSemantics {
  /** Whether `/A` and `/a` are different paths. */
  readonly caseSensitive: boolean
  /** Whether `/a` and `/a/` are different paths. */
  readonly strict: boolean
  /** Whether `/a/*` also matches `/a`. */
  readonly wildcardMatchesEmpty: boolean
}

export interface RouteMatch {
  readonly route: Route
  /** Whether letter case and trailing slash are those of the route. */
  readonly isSpelledAsRoute: boolean
  /** Decoded once. */
  readonly params: { readonly [name: string]: string }
}

/** The entry of a tree for a declared path, whatever the method. Not a valid method. */
const anyMethod = '(ANY)'

/** The meaning of a trailing slash to the router, and whether the path has one. */
type TrailingSlash = 'ignored' | 'present' | 'absent'

/** The declared routes. One tree for each reading of letter case and trailing slash that is in use. */
export interface RouteTable {
  /** `reusable` is a match of the same path. It is returned again if it has the found route. */
  find(
    method: string,
    path: string,
    semantics: RoutingSemantics,
    reusable?: RouteMatch,
  ): RouteMatch | undefined
  /** The route of `find`, without the params. */
  findRoute(method: string, path: string, semantics: RoutingSemantics): Route | undefined
  /** Every route that the path matches, the most specific last. */
  findAll(method: string, path: string, semantics: RoutingSemantics): readonly Route[]
  /** Whether the path is declared with any method. */
  isDeclaredPath(path: string, semantics: RoutingSemantics): boolean
  /** The route whose pattern has these segments. Names of parameters may differ. */
  findShape(method: string, segments: readonly Segment[], hasTrailingSlash: boolean): Route | undefined
  /** Whether a pattern with these segments is declared with any method. */
  isDeclaredShape(segments: readonly Segment[], hasTrailingSlash: boolean): boolean
  /** Whether any path matches both this pattern and a route for the method. */
  overlaps(method: string, segments: readonly Segment[]): boolean
}

export function createRouteTable(routes: readonly Route[]): RouteTable {
  const trees: Record<'exactCase' | 'foldedCase', { [slash in TrailingSlash]?: RouteTree<Route> }> = {
    exactCase: {},
    foldedCase: {},
  }
  let byShape: Map<string, Map<string, Route>> | undefined

  function treeFor(path: string, { caseSensitive, strict }: RoutingSemantics): RouteTree<Route> {
    const ofCase = caseSensitive ? trees.exactCase : trees.foldedCase
    const slash = !strict ? 'ignored' : path.length > 1 && path.endsWith('/') ? 'present' : 'absent'
    ofCase[slash] ??= createTree(
      routes.filter((route) => hasSlash(route, slash)),
      caseSensitive,
    )
    return ofCase[slash]
  }

  /** Routes by shape and method. Made for the first request with a matched pattern. */
  function getShapes(): ReadonlyMap<string, ValuesByMethod<Route>> {
    if (byShape !== undefined) return byShape
    byShape = new Map()
    for (const route of routes) {
      const shape = exactShapeOf(route.segments, route.hasTrailingSlash)
      const byMethod = byShape.get(shape) ?? new Map<string, Route>()
      byShape.set(shape, byMethod)
      for (const method of route.methods) byMethod.set(method, route)
    }
    // As in the tree: without a HEAD route, the GET route answers HEAD.
    for (const byMethod of byShape.values()) {
      const get = byMethod.get('GET')
      if (get !== undefined && !byMethod.has('HEAD')) byMethod.set('HEAD', get)
    }
    return byShape
  }

  function findRoute(method: string, path: string, semantics: RoutingSemantics): Route | undefined {
    return treeFor(path, semantics).find(method, foldCase(path, semantics), semantics.wildcardMatchesEmpty)
  }

  return {
    find(method, path, semantics, reusable) {
      const route = findRoute(method, path, semantics)
      return reusable !== undefined && reusable.route === route ? reusable : route && toMatch(route, path)
    },
    findRoute,
    findAll: (method, path, semantics) =>
      treeFor(path, semantics).findAll(method, foldCase(path, semantics), semantics.wildcardMatchesEmpty),
    isDeclaredPath: (path, semantics) => findRoute(anyMethod, path, semantics) !== undefined,
    findShape: (method, segments, hasTrailingSlash) =>
      pick(getShapes().get(exactShapeOf(segments, hasTrailingSlash)), method),
    isDeclaredShape: (segments, hasTrailingSlash) =>
      getShapes().has(exactShapeOf(segments, hasTrailingSlash)),
    overlaps: (method, segments) =>
      routes.some((route) => hasMethod(route, method) && mayOverlap(route.segments, segments)),
  }
}

/** Whether a router that reads a trailing slash this way may send the path to the route. */
function hasSlash(route: Route, slash: TrailingSlash): boolean {
  return slash === 'ignored' || endsWithWildcard(route) || route.hasTrailingSlash === (slash === 'present')
}

function createTree(routes: readonly Route[], caseSensitive: boolean): RouteTree<Route> {
  const tree = new RouteTree<Route>()
  const shapesWithHead = new Set(
    routes.filter((route) => route.methods.includes('HEAD')).map((route) => shapeOf(route.segments)),
  )
  for (const route of routes) {
    const segments = route.segments.map((segment) => foldSegment(segment, caseSensitive))
    for (const method of route.methods) tree.add(segments, method, route)
    // Without a HEAD handler, routers answer HEAD with the GET handler.
    if (route.methods.includes('GET') && !shapesWithHead.has(shapeOf(route.segments))) {
      tree.add(segments, 'HEAD', route)
    }
    tree.add(segments, anyMethod, route)
  }
  return tree
}

function foldSegment(segment: Segment, caseSensitive: boolean): Segment {
  if (segment.kind !== 'literal' || caseSensitive) return segment
  return { kind: 'literal', text: segment.text.toLowerCase() }
}

function toMatch(route: Route, path: string): RouteMatch {
  const hasSlash = path.length > 1 && path.endsWith('/')
  let isSpelledAsRoute = endsWithWildcard(route) || hasSlash === route.hasTrailingSlash
  const params: Record<string, string> = {}
  const { segments } = route
  let start = 1
  for (const segment of segments) {
    if (segment.kind === 'wildcard') break
    const slash = path.indexOf('/', start)
    const text = path.slice(start, slash < 0 ? path.length : slash)
    start += text.length + 1
    if (segment.kind === 'param') params[segment.name] = decode(text)
    else if (segment.text !== text) isSpelledAsRoute = false
  }
  return { route, isSpelledAsRoute, params }
}

function decode(text: string): string {
  return text.includes('%') ? decodeURIComponent(text) : text
}

/** Lower case for ASCII letters only, as the routers do. */
function foldCase(path: string, { caseSensitive }: RoutingSemantics): string {
  if (caseSensitive || !/[A-Z]/.test(path)) return path
  return path.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

/** Routes of the same shape match the same paths, with or without letter case. */
export function shapeOf(segments: RouteKey['segments']): string {
  return segments
    .map((segment) => {
      if (segment.kind === 'param') return '/:'
      return segment.kind === 'wildcard' ? '/*' : `/${segment.text.toLowerCase()}`
    })
    .join('')
}

/** The shape with letter case and trailing slash, which some routers distinguish. */
function exactShapeOf(segments: RouteKey['segments'], hasTrailingSlash: boolean): string {
  const texts = segments.map((segment) => {
    if (segment.kind === 'param') return '/:'
    return segment.kind === 'wildcard' ? '/*' : `/${segment.text}`
  })
  return texts.join('') + (hasTrailingSlash || texts.length === 0 ? '/' : '')
}

function hasMethod({ methods }: Route, method: string): boolean {
  return methods.includes(method) || methods.includes('*') || (method === 'HEAD' && methods.includes('GET'))
}

/** Whether a path could match both patterns in some router: `*` may match nothing, letter case is ignored. */
function mayOverlap(one: RouteKey['segments'], other: RouteKey['segments']): boolean {
  for (let position = 0; ; position++) {
    const [first, second] = [one[position], other[position]]
    if (first?.kind === 'wildcard' || second?.kind === 'wildcard') return true
    if (first === undefined || second === undefined) return first === second
    const areLiteral = first.kind === 'literal' && second.kind === 'literal'
    if (areLiteral && first.text.toLowerCase() !== second.text.toLowerCase()) return false
  }
}

export function endsWithWildcard(route: RouteKey): boolean {
  return route.segments[route.segments.length - 1]?.kind === 'wildcard'
}
