import { parseRouteKey, type RouteKey, type Segment } from '../policy/route-key.js'
import { type RoutePattern, readRoutePattern } from './route-pattern.js'

/** A handler of an app. */
export interface AppHandler {
  /** In capitals. `*` for every method. */
  readonly method: string
  /**
   * The whole pattern, from the root of the app, as the framework writes it. A regular expression as its
   * source.
   */
  readonly path: string
  /** Whether no request reaches it without passing `ajwt`. */
  readonly isProtected: boolean
  /** Whether it answers a path, where the pattern is a regular expression. */
  readonly matches?: (path: string) => boolean
  /** Whether it finds its handlers itself, by path and method. */
  readonly routesItself?: boolean
}

/** How a framework finds the key of a request. */
export interface KeyLookup {
  /** By the pattern that it has matched, and not by the path. */
  readonly byPattern: boolean
  readonly caseSensitive: boolean
}

export interface HandlerFinding {
  /** In capitals. `*` for every method. */
  readonly method: string
  /** The whole pattern, from the root of the app, as the framework writes it. */
  readonly path: string
  readonly reason: string
}

export interface KeyFinding {
  /** The key, as the policy has it. */
  readonly key: string
  /** The one of its methods that no handler answers. */
  readonly method: string
  readonly path: string
  readonly reason: string
}

/** The differences between the handlers of an app and the keys of a policy. */
export interface RouteReport {
  /** Handlers that no key of the policy covers. `unmatched` decides about their requests. */
  readonly uncovered: HandlerFinding[]
  /** Keys of the policy that no handler answers. */
  readonly unanswered: KeyFinding[]
  /** Handlers that requests reach without passing `ajwt`. */
  readonly beforeMiddleware: HandlerFinding[]
}

type Unmatched = 'deny' | 'authenticate' | 'public'

/** Compares the handlers of an app with the keys of a policy, which is known to be valid. */
export function reportRoutes(
  keys: readonly string[],
  unmatched: Unmatched,
  handlers: readonly AppHandler[],
  lookup: KeyLookup,
): RouteReport {
  const read = keys.map(parseRouteKey).filter((key) => key !== undefined)
  const routes = withoutRepetitions(handlers).map((handler) => {
    const route = readHandler(handler)
    return { ...route, whyUncovered: whyUncovered(route, read, unmatched, lookup) }
  })
  return {
    uncovered: routes.flatMap(({ handler, whyUncovered }) =>
      whyUncovered === undefined ? [] : [toFinding(handler, whyUncovered)],
    ),
    unanswered: read.flatMap((key) => findUnanswered(key, read, routes, lookup)),
    beforeMiddleware: routes
      .filter(({ handler }) => !handler.isProtected)
      .map(({ handler }) => toFinding(handler, 'no ajwt runs before this handler')),
  }
}

/**
 * A handler with its pattern, in every form that it has: with and without an optional end. Undefined: no key
 * has it.
 */
interface HandlerRoute {
  readonly handler: AppHandler
  readonly shapes: readonly Shape[] | undefined
}

interface CheckedRoute extends HandlerRoute {
  readonly whyUncovered: string | undefined
}

interface Shape {
  readonly segments: readonly Segment[]
  readonly hasTrailingSlash: boolean
}

function readHandler(handler: AppHandler): HandlerRoute {
  const pattern = handler.matches === undefined ? readRoutePattern(handler.path) : undefined
  return { handler, shapes: pattern && shapesOf(pattern) }
}

function shapesOf({ segments, hasTrailingSlash, isLastOptional }: RoutePattern): readonly Shape[] {
  const whole = { segments, hasTrailingSlash }
  return isLastOptional ? [whole, { segments: segments.slice(0, -1), hasTrailingSlash }] : [whole]
}

/** One entry for each method and path. A HEAD handler beside a GET handler is the framework's own. */
function withoutRepetitions(handlers: readonly AppHandler[]): readonly AppHandler[] {
  const found = new Map<string, AppHandler>()
  for (const handler of handlers) {
    const name = `${handler.method} ${handler.path}`
    const known = found.get(name)
    // The weakest of several is the one to report.
    if (known === undefined || (known.isProtected && !handler.isProtected)) found.set(name, handler)
  }
  return [...found.values()].filter(({ method, path, isProtected }) => {
    const get = method === 'HEAD' ? found.get(`GET ${path}`) : undefined
    return get === undefined || get.isProtected !== isProtected
  })
}

function whyUncovered(
  { handler, shapes }: HandlerRoute,
  keys: readonly RouteKey[],
  unmatched: Unmatched,
  lookup: KeyLookup,
): string | undefined {
  if (handler.matches !== undefined) return 'a regular expression: compare its paths with the keys by hand'
  if (shapes === undefined) return 'no key can have this pattern: compare its paths with the keys by hand'
  const hasKey = (key: RouteKey) => shapes.some((shape) => overlaps(key, shape, lookup))
  // The rest of its paths is denied.
  if (handler.routesItself && unmatched === 'deny' && keys.some(hasKey)) return undefined
  const ofMethod = keys.filter((key) => answersMethod(key.methods, handler.method))
  if (shapes.every((shape) => ofMethod.some((key) => covers(key, shape, lookup)))) return undefined
  if (handler.method === '*') {
    const some = keys.filter((key) => shapes.every((shape) => covers(key, shape, lookup)))
    const methods = some.flatMap((key) => key.methods)
    if (some.length > 0) return `it answers every method, and the policy names only ${methods.join(', ')}`
  }
  const partial = ofMethod.filter(hasKey)
  if (partial.length > 0)
    return `only some of its paths have a key: ${partial.map(({ key }) => key).join('; ')}`
  return reasonsOfUnmatched[unmatched]
}

const reasonsOfUnmatched: Readonly<Record<Unmatched, string>> = {
  deny: 'no key: every request is denied',
  authenticate: 'no key: any valid token is enough, by unmatched: "authenticate"',
  public: 'no key: nothing is checked, by unmatched: "public"',
}

function findUnanswered(
  key: RouteKey,
  keys: readonly RouteKey[],
  routes: readonly CheckedRoute[],
  lookup: KeyLookup,
): KeyFinding[] {
  return key.methods.flatMap((method) => {
    const rivals = keys.filter((other) => isMoreSpecific(other, key, method, lookup))
    const answering = routes.filter(
      ({ handler, shapes }) =>
        handlesMethod(handler.method, method) &&
        (handler.matches?.(samplePath(key)) ??
          shapes?.some((shape) => isForKey(key, rivals, shape, lookup)) ??
          false),
    )
    if (answering.some((route) => !isForUnknownPaths(route, key, lookup))) return []
    const [page] = answering
    const reason =
      page === undefined
        ? 'no handler answers it'
        : `only a handler without a key answers it, for every method and path: ${page.handler.path}`
    return [{ key: key.key, method, path: key.path, reason }]
  })
}

/** Whether a handler is the app's answer to unknown paths, as far as can be told: it has no key. */
function isForUnknownPaths(
  { handler, shapes = [], whyUncovered }: CheckedRoute,
  key: RouteKey,
  lookup: KeyLookup,
) {
  const takesAll = shapes.some(({ segments }) => segments[segments.length - 1]?.kind === 'wildcard')
  const isOwnKey = shapes.some((shape) => covers(key, shape, lookup))
  return handler.method === '*' && whyUncovered !== undefined && takesAll && !isOwnKey
}

/** Whether some request for the handler has this key, and none that is more specific. */
function isForKey(key: RouteKey, rivals: readonly RouteKey[], shape: Shape, lookup: KeyLookup): boolean {
  return overlaps(key, shape, lookup) && !rivals.some((rival) => covers(rival, shape, lookup))
}

function isMoreSpecific(other: RouteKey, key: RouteKey, method: string, lookup: KeyLookup): boolean {
  return (
    other !== key &&
    answersMethod(other.methods, method) &&
    covers(key, other, lookup) &&
    !covers(other, key, lookup)
  )
}

/** Whether a key with these methods is the key of a request that a handler of this method answers. */
function answersMethod(methods: readonly string[], method: string): boolean {
  return methods.includes('*') || methods.includes(method) || (method === 'HEAD' && methods.includes('GET'))
}

/** Whether a handler of one method answers a request of another. */
function handlesMethod(handled: string, method: string): boolean {
  return handled === '*' || method === '*' || handled === method || (method === 'HEAD' && handled === 'GET')
}

/** Whether every path of a pattern has the key. */
function covers(key: Shape, { segments, hasTrailingSlash }: Shape, lookup: KeyLookup): boolean {
  if (lookup.byPattern && key.hasTrailingSlash !== hasTrailingSlash) return false
  for (let position = 0; ; position++) {
    const [wanted, given] = [key.segments[position], segments[position]]
    if (lookup.byPattern && wanted?.kind !== given?.kind) return false
    if (wanted === undefined || given === undefined) return wanted === given
    if (wanted.kind === 'wildcard') return true
    if (given.kind === 'wildcard' || !includesSegment(wanted, given, lookup)) return false
  }
}

function includesSegment(wanted: Segment, given: Segment, lookup: KeyLookup): boolean {
  return (
    wanted.kind !== 'literal' || (given.kind === 'literal' && isSameText(wanted.text, given.text, lookup))
  )
}

/** Whether some path of a pattern may have the key. */
function overlaps(key: Shape, shape: Shape, lookup: KeyLookup): boolean {
  if (lookup.byPattern) return covers(key, shape, lookup)
  for (let position = 0; ; position++) {
    const [one, other] = [key.segments[position], shape.segments[position]]
    if (one?.kind === 'wildcard' || other?.kind === 'wildcard') return true
    if (one === undefined || other === undefined) return one === other
    const areLiteral = one.kind === 'literal' && other.kind === 'literal'
    if (areLiteral && !isSameText(one.text, other.text, lookup)) return false
  }
}

function isSameText(one: string, other: string, { caseSensitive }: KeyLookup): boolean {
  return one === other || (!caseSensitive && one.toLowerCase() === other.toLowerCase())
}

/** A path that has the key. */
function samplePath({ segments, hasTrailingSlash }: Shape): string {
  const texts = segments.map((segment) => (segment.kind === 'literal' ? segment.text : '1'))
  return `/${texts.join('/')}${hasTrailingSlash ? '/' : ''}`
}

function toFinding({ method, path }: AppHandler, reason: string): HandlerFinding {
  return { method, path, reason }
}
