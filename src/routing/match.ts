import { isPlainDecodedPath, isPlainPath, loosestReading } from '../request/path.js'
import type { KnownRouting, RequestFacts } from '../request/request.js'
import {
  type Access,
  accessOfPreflight,
  accessTo,
  type RoutingPolicy,
  undecidable,
  unmatched,
} from './access.js'
import { matchRoute } from './match-pattern.js'
import type { Route, RouteMatch, RoutingSemantics } from './table.js'

export type { Access } from './access.js'

const express: RoutingSemantics = { caseSensitive: false, strict: false, emptyRest: false }
const hono: RoutingSemantics = { caseSensitive: true, strict: true, emptyRest: true }

/** What some router or other would match. */
const loose: RoutingSemantics = { caseSensitive: false, strict: false, emptyRest: true }

/**
 * Finds the rule of a request, such that the handler which the framework will run has no stricter one. What
 * could be read in two ways is undeclared, whatever the policy's `unmatched` says.
 */
export function matchRequest(policy: RoutingPolicy, request: RequestFacts): Access {
  const { routing } = request
  const method = routing?.method ?? request.method
  const reason = reasonOfMethod(request, method)
  if (reason !== undefined) return undecidable(policy, reason, method, request.path)
  if (routing?.kind === 'route') return matchRoute(policy, request, routing)

  const path = routing?.path ?? request.path
  if (!isPlain(request, path, routing) || (routing === undefined && isReadDifferently(request))) {
    return undecidable(policy, 'the path can be read in more than one way', method, path)
  }
  if (
    policy.preflight &&
    request.isPreflight &&
    method === 'OPTIONS' &&
    isPreflightTarget(policy, path, routing)
  ) {
    return accessOfPreflight
  }
  const match = routing === undefined ? findInAll(policy, method, path) : find(policy, method, path, routing)
  if (match === 'ambiguous') {
    return undecidable(policy, 'the path is another spelling of a stricter route', method, path)
  }
  if (match !== undefined) return accessTo(policy, match.route, match.params)
  if (mayBeDeclared(policy, method, path)) {
    return undecidable(policy, 'the path may be another spelling of a route', method, path)
  }
  return unmatched(policy, method, path)
}

/** Why the method alone leaves the handler open. */
function reasonOfMethod(request: RequestFacts, method: string): string | undefined {
  if (!isMethod(request.method) || !isMethod(method)) return 'the method is not spelled as HTTP has it'
  if (hasPendingOverride(request, method)) return 'a method override names another method'
  return undefined
}

const commonMethods: ReadonlySet<string> = new Set([
  'GET',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'HEAD',
  'OPTIONS',
])

/** Some routers fold the letters of a method: a spelling that is no method of HTTP's has no rule. */
function isMethod(method: string): boolean {
  return commonMethods.has(method) || /^[A-Z]+(-[A-Z]+)*$/.test(method)
}

/**
 * Whether something behind this middleware may yet run another method's handler: an override that names a
 * method which is not the one that the framework routes by.
 */
function hasPendingOverride({ methodOverrides }: RequestFacts, method: string): boolean {
  if (methodOverrides.length === 0) return false
  return methodOverrides.some((override) => override.trim().toUpperCase() !== method)
}

/** Elysia looks for the path from here on: it takes every URL for one with a longer scheme and host. */
const shortestOrigin = 'http://a.bc'.length

/** Whether Elysia would route a URL by another path. */
function isReadDifferently({ pathStart }: RequestFacts): boolean {
  return pathStart > 0 && pathStart < shortestOrigin
}

/** The path on the wire, and what a framework has made of it. */
function isPlain(
  { path: wirePath, isSimplePath }: RequestFacts,
  path: string,
  routing: KnownRouting | undefined,
): boolean {
  if (!isSimplePath && !isPlainPath(wirePath)) return false
  if (path === wirePath) return true
  return routing?.decoded === true ? isPlainDecodedPath(path) : isPlainPath(path)
}

/** Where a route of the policy's own answers OPTIONS, it is no preflight's to pass. */
function isPreflightTarget(policy: RoutingPolicy, path: string, routing: KnownRouting | undefined): boolean {
  return (routing === undefined ? [express, hono] : [routing]).every(
    (semantics) =>
      policy.routes.isDeclaredPath(path, semantics) &&
      policy.routes.findAll('OPTIONS', path, loose).length === 0,
  )
}

type Found = RouteMatch | 'ambiguous' | undefined

/**
 * The route as the framework will find it. A router inside the app can have other settings than the app: a path that
 * is not spelled as the closest route, and that some router takes for a route with a stricter rule, is ambiguous.
 * A `*` counts as possibly empty in every framework: below a mount, Express 4 matches `/*` (and Express 5 and Koa
 * match `/{*rest}`) where nothing follows the mount path.
 */
function find(
  policy: RoutingPolicy,
  method: string,
  path: string,
  semantics: RoutingSemantics,
  known?: RouteMatch,
): Found {
  const match = policy.routes.find(method, path, semantics, known)
  if (match === undefined) return undefined
  const closest = policy.routes.findRoute(method, path, loose)
  if (closest === match.route && match.isSpelledAsRoute) return match
  const { access } = match.route
  return policy.routes.findAll(method, path, loose).every((other) => isAtMostAsStrict(other.access, access))
    ? match
    : 'ambiguous'
}

/** Whether whoever meets the second of two rules meets the first as well. */
function isAtMostAsStrict(one: Route['access'], other: Route['access']): boolean {
  if (one === other || one === 'public') return true
  return one === 'authenticated' && typeof other === 'object' && !other.anonymous && other.mode !== 'observe'
}

/** Where the framework is unknown, all of those supported have to find one and the same route. */
function findInAll(policy: RoutingPolicy, method: string, path: string): Found {
  const found = findInDefaults(policy, method, path)
  const semicolon = path.indexOf(';')
  if (semicolon < 0 || found === 'ambiguous') return found
  // Fastify can be told to end the path at a semicolon (`useSemicolonDelimiter`).
  const ofBeginning = findInDefaults(policy, method, path.slice(0, semicolon))
  return ofBeginning !== 'ambiguous' && ofBeginning?.route === found?.route ? found : 'ambiguous'
}

function findInDefaults(policy: RoutingPolicy, method: string, path: string): Found {
  const one = find(policy, method, path, express)
  if (one === 'ambiguous') return 'ambiguous'
  // Hono answers HEAD by the handler of GET, and by no other.
  const methodInHono = method === 'HEAD' ? 'GET' : method
  const pathInHono = decodeAsHono(path)
  const other = find(policy, methodInHono, pathInHono, hono, pathInHono === path ? one : undefined)
  if (one === other) return one
  return one !== undefined && isSameMatch(one, other) ? one : 'ambiguous'
}

function isSameMatch({ route, params }: RouteMatch, other: Found): boolean {
  if (other === undefined || other === 'ambiguous' || other.route !== route) return false
  return Object.keys(params).every((name) => params[name] === other.params[name])
}

/** Hono decodes a path before it matches it, all but what would change its segments. */
function decodeAsHono(path: string): string {
  return path.includes('%') ? decodeURI(path.replaceAll('%25', '%2525')) : path
}

/** Whether an undeclared path could be another spelling of a declared one: then `unmatched` does not apply. */
function mayBeDeclared(policy: RoutingPolicy, method: string, path: string): boolean {
  const readings = [path, loosestReading(path)]
  return readings.some((reading) => policy.routes.findAll(method, reading, loose).length > 0)
}
