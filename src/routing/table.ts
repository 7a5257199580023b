import type { RouteKey, Segment } from '../policy/route-key.js'
import type { Rule } from '../rules/rule.js'
import { type Ends, pick, RouteTree } from './tree.js'

/** A declared route. */
export interface Route extends RouteKey {
  readonly access: 'public' | 'authenticated' | Rule
}

/** How a framework reads paths. */
export interface RoutingSemantics {
  /** Whether `/A` and `/a` are two paths. */
  readonly caseSensitive: boolean
  /** Whether `/a` and `/a/` are two paths. */
  readonly strict: boolean
  /** Whether `/a/*` also stands for `/a`. */
  readonly emptyRest: boolean
}

export interface RouteMatch {
  readonly route: Route
  /** Whether the path has the route's own letters, and its last slash or none. */
  readonly isSpelledAsRoute: boolean
  /** Decoded once. */
  readonly params: { readonly [name: string]: string }
}

/** Stands for "a key with any method" in an index; no method on the wire looks like it. */
const anyMethod = '(ANY)'

/**
 * The declared routes, found by a path as the framework in hand would find its handler: in one tree for each way of
 * reading paths that is in use.
 */
export interface RouteTable {
  /** `known`, a match of this very path, is given again where it has the route. */
  find(
    method: string,
    path: string,
    semantics: RoutingSemantics,
    known: RouteMatch | undefined,
  ): RouteMatch | undefined
  /** The route of `find`, alone. */
  findRoute(method: string, path: string, semantics: RoutingSemantics): Route | undefined
  /** Every route that this path could be taken for, the most specific last. */
  findAll(method: string, path: string, semantics: RoutingSemantics): readonly Route[]
  /** Whether some method of this path is declared. */
  isDeclaredPath(path: string, semantics: RoutingSemantics): boolean
  /** The route whose pattern has these segments, whatever its parameters are called. */
  findShape(method: string, segments: readonly Segment[], hasTrailingSlash: boolean): Route | undefined
  /** Whether some method of that pattern is declared. */
  isDeclaredShape(segments: readonly Segment[], hasTrailingSlash: boolean): boolean
  /** Whether some path could be taken for this pattern and for a route that answers the method. */
  overlaps(method: string, segments: readonly Segment[]): boolean
}

export function createRouteTable(routes: readonly Route[]): RouteTable {
  const indexes: (RouteTree<Route> | undefined)[] = new Array(16)
  let byShape: Map<string, Map<string, Route>> | undefined

  function indexFor(path: string, semantics: RoutingSemantics): RouteTree<Route> {
    const { caseSensitive, strict, emptyRest } = semantics
    const slash = strict && path.length > 1 && path.endsWith('/')
    const place = (caseSensitive ? 1 : 0) + (emptyRest ? 2 : 0) + (strict ? 4 : 0) + (slash ? 8 : 0)
    let index = indexes[place]
    if (index === undefined) {
      const inIndex = strict
        ? routes.filter((route) => endsInRest(route) || route.hasTrailingSlash === slash)
        : routes
      index = createIndex(inIndex, semantics)
      indexes[place] = index
    }
    return index
  }

  /** By shape and method; made when the first request comes with a pattern. */
  function shapes(): ReadonlyMap<string, Ends<Route>> {
    if (byShape !== undefined) return byShape
    byShape = new Map()
    for (const route of routes) {
      const shape = exactShapeOf(route.segments, route.hasTrailingSlash)
      const ends = byShape.get(shape) ?? new Map<string, Route>()
      byShape.set(shape, ends)
      for (const method of route.methods) ends.set(method, route)
    }
    // As in the tree: the GET route answers HEAD where there is no HEAD route.
    for (const ends of byShape.values()) {
      const get = ends.get('GET')
      if (get !== undefined && !ends.has('HEAD')) ends.set('HEAD', get)
    }
    return byShape
  }

  function lookUp(method: string, path: string, semantics: RoutingSemantics): Route | undefined {
    return indexFor(path, semantics).find(method, fold(path, semantics))
  }

  return {
    find(method, path, semantics, known) {
      const route = lookUp(method, path, semantics)
      return known !== undefined && known.route === route ? known : route && toMatch(route, path)
    },
    findRoute: lookUp,
    findAll: (method, path, semantics) => indexFor(path, semantics).findAll(method, fold(path, semantics)),
    isDeclaredPath: (path, semantics) => lookUp(anyMethod, path, semantics) !== undefined,
    findShape: (method, segments, hasTrailingSlash) =>
      pick(shapes().get(exactShapeOf(segments, hasTrailingSlash)), method),
    isDeclaredShape: (segments, hasTrailingSlash) => shapes().has(exactShapeOf(segments, hasTrailingSlash)),
    overlaps: (method, segments) =>
      routes.some((route) => answers(route, method) && mayOverlap(route.segments, segments)),
  }
}

function createIndex(routes: readonly Route[], semantics: RoutingSemantics): RouteTree<Route> {
  const index = new RouteTree<Route>(semantics.emptyRest)
  const shapesWithHead = new Set(
    routes.filter((route) => route.methods.includes('HEAD')).map((route) => shapeOf(route.segments)),
  )
  for (const route of routes) {
    const segments = route.segments.map((segment) => foldSegment(segment, semantics))
    for (const method of route.methods) index.add(segments, method, route)
    // Routers answer HEAD by the GET handler where the path has no HEAD handler of its own.
    if (route.methods.includes('GET') && !shapesWithHead.has(shapeOf(route.segments))) {
      index.add(segments, 'HEAD', route)
    }
    index.add(segments, anyMethod, route)
  }
  return index
}

function foldSegment(segment: Segment, { caseSensitive }: RoutingSemantics): Segment {
  if (segment.kind !== 'literal' || caseSensitive) return segment
  return { kind: 'literal', text: segment.text.toLowerCase() }
}

function toMatch(route: Route, path: string): RouteMatch {
  const hasSlash = path.length > 1 && path.endsWith('/')
  let isSpelledAsRoute = endsInRest(route) || hasSlash === route.hasTrailingSlash
  const params: Record<string, string> = {}
  const { segments } = route
  let start = 1
  for (let position = 0; position < segments.length; position++) {
    const segment = segments[position] as Segment
    if (segment.kind === 'rest') break
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

/** ASCII only, as the routers do it: they take no other letter for one of these. */
function fold(path: string, { caseSensitive }: RoutingSemantics): string {
  if (caseSensitive || !/[A-Z]/.test(path)) return path
  return path.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

/** Two routes of one shape match the same paths, in routers that tell letter case apart and in others. */
export function shapeOf(segments: RouteKey['segments']): string {
  return segments
    .map((segment) => {
      if (segment.kind === 'param') return '/:'
      return segment.kind === 'rest' ? '/*' : `/${segment.text.toLowerCase()}`
    })
    .join('')
}

/** The same for letters as they are written, and with the last slash: what one router may tell apart. */
function exactShapeOf(segments: RouteKey['segments'], hasTrailingSlash: boolean): string {
  const texts = segments.map((segment) => {
    if (segment.kind === 'param') return '/:'
    return segment.kind === 'rest' ? '/*' : `/${segment.text}`
  })
  return texts.join('') + (hasTrailingSlash || texts.length === 0 ? '/' : '')
}

function answers({ methods }: Route, method: string): boolean {
  return methods.includes(method) || methods.includes('*') || (method === 'HEAD' && methods.includes('GET'))
}

/** Whether one path could match both patterns, in some router: a `*` may be empty, and letter case is nothing. */
function mayOverlap(one: RouteKey['segments'], other: RouteKey['segments']): boolean {
  for (let position = 0; ; position++) {
    const [first, second] = [one[position], other[position]]
    if (first?.kind === 'rest' || second?.kind === 'rest') return true
    if (first === undefined || second === undefined) return first === second
    const areLiteral = first.kind === 'literal' && second.kind === 'literal'
    if (areLiteral && first.text.toLowerCase() !== second.text.toLowerCase()) return false
  }
}

function endsInRest(route: RouteKey): boolean {
  return route.segments[route.segments.length - 1]?.kind === 'rest'
}
