import { isPlainDecodedPath, isPlainPath, loosestReading } from '../request/path.js'
import type { KnownRouting, RequestFacts } from '../request/request.js'
import {
  type Access,
  accessFor,
  ambiguousAccess,
  preflightAccess,
  type RoutingPolicy,
  unmatchedAccess,
} from './access.js'
import { matchRoute } from './match-pattern.js'
import { endsWithWildcard, type Route, type RouteMatch, type RoutingSemantics } from './table.js'

export type { Access } from './access.js'

const express: RoutingSemantics = { caseSensitive: false, strict: false, wildcardMatchesEmpty: false }
const hono: RoutingSemantics = { caseSensitive: true, strict: true, wildcardMatchesEmpty: true }

/** Matches every path that any supported router matches. */
const loose: RoutingSemantics = { caseSensitive: false, strict: false, wildcardMatchesEmpty: true }

/**
 * Finds the rule of a request. The rule is never weaker than the rule of the handler that the framework
 * runs. A request that can be read in two ways is undeclared, also if the policy's `unmatched` allows
 * others.
 */
export function matchRequest(policy: RoutingPolicy, request: RequestFacts): Access {
  const { routing } = request
  const method = routing?.method ?? request.method
  const problem = findMethodProblem(request, method)
  if (problem !== undefined) return ambiguousAccess(policy, problem, method, request.path)
  if (routing?.kind === 'route') return matchRoute(policy, request, routing)

  const path = routing?.path ?? request.path
  if (!isPlain(request, path, routing) || (routing === undefined && isMisparsedByElysia(request))) {
    return ambiguousAccess(policy, 'the path can be read in more than one way', method, path)
  }
  const isPreflight = policy.preflight && request.isPreflight && method === 'OPTIONS'
  if (isPreflight && isPreflightTarget(policy, path, routing)) return preflightAccess

  const match =
    routing === undefined ? findInEveryFramework(policy, method, path) : find(policy, method, path, routing)
  if (match === 'ambiguous') {
    return ambiguousAccess(policy, 'the path is another spelling of a stricter route', method, path)
  }
  if (match !== undefined) return accessFor(policy, match.route, match.params)
  if (mayBeDeclared(policy, method, path)) {
    return ambiguousAccess(policy, 'the path may be another spelling of a route', method, path)
  }
  return unmatchedAccess(policy, method, path)
}

/** Why the method does not determine the handler, or undefined. */
function findMethodProblem(request: RequestFacts, method: string): string | undefined {
  if (!isMethod(request.method) || !isMethod(method)) return 'the method is not in upper case'
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

/** Some routers ignore the letter case of a method: only the spelling of HTTP has a rule. */
function isMethod(method: string): boolean {
  return commonMethods.has(method) || /^[A-Z]+(-[A-Z]+)*$/.test(method)
}

/** Whether a method override names another method: a later middleware could route the request by it. */
function hasPendingOverride({ methodOverrides }: RequestFacts, method: string): boolean {
  if (methodOverrides.length === 0) return false
  return methodOverrides.some((override) => override.trim().toUpperCase() !== method)
}

/** Elysia searches the path from this index on: it assumes that scheme and host are at least this long. */
const shortestOrigin = 'http://a.bc'.length

/** Whether Elysia reads another path from a URL with a short origin. */
function isMisparsedByElysia({ pathStart }: RequestFacts): boolean {
  return pathStart > 0 && pathStart < shortestOrigin
}

/** Whether all routers read the path in one way: both the path on the wire and the framework's. */
function isPlain(
  { path: wirePath, isSimplePath }: RequestFacts,
  path: string,
  routing: KnownRouting | undefined,
): boolean {
  if (!isSimplePath && !isPlainPath(wirePath)) return false
  if (path === wirePath) return true
  return routing?.decoded === true ? isPlainDecodedPath(path) : isPlainPath(path)
}

/** Whether the path is declared, and no route answers OPTIONS itself. */
function isPreflightTarget(policy: RoutingPolicy, path: string, routing: KnownRouting | undefined): boolean {
  return (routing === undefined ? [express, hono] : [routing]).every(
    (semantics) =>
      policy.routes.isDeclaredPath(path, semantics) &&
      policy.routes.findAll('OPTIONS', path, loose).length === 0,
  )
}

type Found = RouteMatch | 'ambiguous' | undefined

/**
 * Finds the route as the framework does. Nested routers can have other settings, so another spelling is
 * ambiguous if any router could match a route with a stricter rule. `*` may match nothing, as below a mount.
 */
function find(
  policy: RoutingPolicy,
  method: string,
  path: string,
  semantics: RoutingSemantics,
  closest = policy.routes.find(method, path, loose),
): Found {
  if (closest === undefined) return undefined
  // Every router finds the closest route by its own spelling. A final "*" may match nothing in some of them.
  if (closest.isSpelledAsRoute && !endsWithWildcard(closest.route)) return closest
  const match = policy.routes.find(method, path, semantics, closest)
  if (match === undefined) return undefined
  if (match === closest && match.isSpelledAsRoute) return match
  const { access } = match.route
  return policy.routes.findAll(method, path, loose).every((other) => isAtMostAsStrict(other.access, access))
    ? match
    : 'ambiguous'
}

/** Whether every request that the second rule allows is also allowed by the first. */
function isAtMostAsStrict(one: Route['access'], other: Route['access']): boolean {
  if (one === other || one === 'public') return true
  return one === 'authenticated' && typeof other === 'object' && !other.anonymous && other.mode !== 'observe'
}

/** For an unknown framework: all supported frameworks must find the same route. */
function findInEveryFramework(policy: RoutingPolicy, method: string, path: string): Found {
  const found = findInExpressAndHono(policy, method, path)
  const semicolon = path.indexOf(';')
  if (semicolon < 0 || found === 'ambiguous') return found
  // Fastify can end the path at a semicolon (`useSemicolonDelimiter`).
  const beforeSemicolon = findInExpressAndHono(policy, method, path.slice(0, semicolon))
  return beforeSemicolon !== 'ambiguous' && beforeSemicolon?.route === found?.route ? found : 'ambiguous'
}

function findInExpressAndHono(policy: RoutingPolicy, method: string, path: string): Found {
  const closest = policy.routes.find(method, path, loose)
  const inExpress = find(policy, method, path, express, closest)
  if (inExpress === 'ambiguous') return 'ambiguous'
  // Hono answers HEAD with the GET handler only.
  const methodInHono = method === 'HEAD' ? 'GET' : method
  const pathInHono = decodeAsHono(path)
  const isSameRequest = pathInHono === path && methodInHono === method
  const inHono = find(policy, methodInHono, pathInHono, hono, isSameRequest ? closest : undefined)
  if (inExpress === inHono) return inExpress
  return inExpress !== undefined && isSameMatch(inExpress, inHono) ? inExpress : 'ambiguous'
}

function isSameMatch({ route, params }: RouteMatch, other: Found): boolean {
  if (other === undefined || other === 'ambiguous' || other.route !== route) return false
  return Object.keys(params).every((name) => params[name] === other.params[name])
}

/** Hono decodes a path before matching, except for characters that would change its segments. */
function decodeAsHono(path: string): string {
  return path.includes('%') ? decodeURI(path.replaceAll('%25', '%2525')) : path
}

/**
 * Whether an undeclared path could be another spelling of a declared one. `unmatched` does not apply then.
 */
function mayBeDeclared(policy: RoutingPolicy, method: string, path: string): boolean {
  const readings = [path, loosestReading(path)]
  return readings.some((reading) => policy.routes.findAll(method, reading, loose).length > 0)
}
