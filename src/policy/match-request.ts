import type { Rule } from '../intent/rule.js'
import type { RequestFacts, Routing } from '../request.js'
import type { CompiledPolicy } from './compile.js'
import { isPlainDecodedPath, isPlainPath, mostForgivingReading } from './plain-path.js'
import type { RouteMatch, RoutingSemantics } from './route-table.js'

/** What the policy says of a request before anything is known of its sender. */
export interface Access {
  /** `undeclared`: nobody gets in, but only a caller who has authenticated is told so. */
  readonly kind: 'public' | 'undeclared' | Rule
  /** The path pattern that matched. */
  readonly route: string | undefined
  readonly params: { readonly [name: string]: string }
}

const express: RoutingSemantics = { caseSensitive: false, strict: false, emptyRest: false }
const hono: RoutingSemantics = { caseSensitive: true, strict: true, emptyRest: true }
const forgiving: RoutingSemantics = { caseSensitive: false, strict: false, emptyRest: true }

const undeclared: Access = Object.freeze({ kind: 'undeclared', route: undefined, params: Object.freeze({}) })

/**
 * Finds the rule of a request, such that the handler which the framework will run has no stricter one. What
 * could be read in two ways is undeclared, whatever the policy's `unmatched` says.
 */
export function matchRequest(policy: CompiledPolicy, request: RequestFacts): Access {
  const { routing } = request
  const method = routing?.method ?? request.method
  const path = routing?.path ?? request.path
  if (hasPendingOverride(request, method) || !isPlain(request, path)) return undeclared

  if (policy.preflight && request.isPreflight && isPreflightTarget(policy, path, routing)) {
    return { kind: 'public', route: undefined, params: {} }
  }
  const match =
    routing === undefined ? findUnlessContested(policy, method, path) : find(policy, method, path, routing)
  if (match === 'contested') return undeclared
  if (match !== undefined) {
    const { access, path: route } = match.route
    return { kind: access === 'authenticated' ? policy.authenticated : access, route, params: match.params }
  }
  if (policy.unmatched === 'deny' || mayBeDeclared(policy, method, path)) return undeclared
  const kind = policy.unmatched === 'public' ? 'public' : policy.authenticated
  return { kind, route: undefined, params: {} }
}

/**
 * Whether something behind this middleware may yet run another method's handler: an override that names a
 * method which is not the one that the framework routes by.
 */
function hasPendingOverride({ methodOverrides }: RequestFacts, method: string): boolean {
  return methodOverrides.some((override) => override.trim().toUpperCase() !== method)
}

/** The path on the wire, and what a framework has made of it. */
function isPlain({ path: wirePath, routing }: RequestFacts, path: string): boolean {
  if (!isPlainPath(wirePath)) return false
  if (path === wirePath) return true
  return routing?.decoded === true ? isPlainDecodedPath(path) : isPlainPath(path)
}

/** An OPTIONS route of the policy's own is no preflight's to pass. */
function isPreflightTarget(policy: CompiledPolicy, path: string, routing: Routing | undefined): boolean {
  return (routing === undefined ? [express, hono] : [routing]).every((semantics) => {
    const own = policy.routes.find('OPTIONS', path, semantics)?.route
    return policy.routes.isDeclaredPath(path, semantics) && own?.methods.includes('OPTIONS') !== true
  })
}

type Found = RouteMatch | 'contested' | undefined

function find(policy: CompiledPolicy, method: string, path: string, routing: Routing): Found {
  const match = policy.routes.find(method, path, routing)
  if (routing.caseSensitive || !/[A-Z]/.test(path)) return match
  // A router of the app may be stricter about letter case than the app: then another handler runs.
  const exact = policy.routes.find(method, path, { ...routing, caseSensitive: true })
  return exact !== undefined && exact.route !== match?.route ? 'contested' : match
}

/** Where the framework is unknown, all of those supported have to find one and the same route. */
function findUnlessContested(policy: CompiledPolicy, method: string, path: string): Found {
  const one = policy.routes.find(method, path, express)
  const other = policy.routes.find(method, decodeAsHono(path), hono)
  return one?.route === other?.route && isSameParams(one, other) ? one : 'contested'
}

function isSameParams(one: RouteMatch | undefined, other: RouteMatch | undefined): boolean {
  const params = one?.params ?? {}
  return Object.keys(params).every((name) => params[name] === other?.params[name])
}

/** Hono decodes a path before it matches it, all but what would change its segments. */
function decodeAsHono(path: string): string {
  return path.includes('%') ? decodeURI(path.replaceAll('%25', '%2525')) : path
}

/** Whether an undeclared path could be another spelling of a declared one: then `unmatched` does not apply. */
function mayBeDeclared(policy: CompiledPolicy, method: string, path: string): boolean {
  return policy.routes.find(method, mostForgivingReading(path), forgiving) !== undefined
}
