import type { RequestListener } from 'node:http'
import fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import fastify4 from 'fastify4'
import * as forFastify from '../../../middleware/fastify.js'
import { fastifyListener } from '../fastify.js'
import { answerField, answerOf, type Guard, toField } from './apps.js'
import { type DeclaredRoute, declare, inOrder, pathOf } from './reference.js'

/** How an app of Fastify routes: by options of its router, or by how its handlers are registered. */
interface RouterSetup {
  /** `routerOptions` of Fastify 5. In Fastify 4 they are options of the server. */
  readonly router?: object
  readonly options?: Pick<FastifyServerOptions, 'rewriteUrl' | 'exposeHeadRoutes'>
  /** The pattern that is registered for a key's. */
  readonly pattern?: (
    path: string,
    at: number,
    route: DeclaredRoute,
    routes: readonly DeclaredRoute[],
  ) => string
  /** Constraints of the handler at this place: requests that do not meet them are for another handler. */
  readonly constraints?: (at: number) => Record<string, string>
  /** Handlers stand in a plugin for their first segment. */
  readonly hasPrefixes?: boolean
  /** Further routes that the policy declares. */
  readonly expand?: (routes: readonly DeclaredRoute[]) => readonly DeclaredRoute[]
}

/** A custom constraint: the handler for a tenant. */
const tenants = {
  name: 'tenant',
  storage() {
    const handlers = new Map<unknown, unknown>()
    return {
      get: (tenant: unknown) => handlers.get(tenant) ?? null,
      set: (tenant: unknown, handler: unknown) => void handlers.set(tenant, handler),
    }
  },
  deriveConstraint: ({ headers }: { headers: Record<string, unknown> }) => headers['x-tenant'],
  validate() {},
  mustMatchWhenDerived: false,
}

const forgiving = {
  caseSensitive: false,
  ignoreTrailingSlash: true,
  ignoreDuplicateSlashes: true,
  useSemicolonDelimiter: true,
}

/** A request has the rule of the handler that it reaches, under every option of the router. */
export const fastifyRouters: Readonly<Record<string, RouterSetup>> = {
  plain: {},
  caseSensitive: { router: { caseSensitive: false } },
  ignoreTrailingSlash: { router: { ignoreTrailingSlash: true } },
  ignoreDuplicateSlashes: { router: { ignoreDuplicateSlashes: true } },
  useSemicolonDelimiter: { router: { useSemicolonDelimiter: true } },
  noSemicolonDelimiter: { router: { useSemicolonDelimiter: false } },
  maxParamLength: { router: { maxParamLength: 3 } },
  exposeHeadRoutes: { options: { exposeHeadRoutes: false } },
  rewriteUrl: {
    options: { rewriteUrl: ({ url = '/' }) => url.replace(/\/X1/i, '/x1').replace(/^\/+/, '/') },
  },
  hosts: {
    constraints: (at) => [{}, { host: 'app.example.com' }, { host: 'other.example.com' }][at % 3] ?? {},
  },
  versions: { constraints: (at) => [{}, { version: '1.2.0' }, { version: '2.0.0' }][at % 3] ?? {} },
  custom: {
    router: { constraints: { tenant: tenants } },
    constraints: (at) => [{}, { tenant: 'a' }, { tenant: 'b' }][at % 3] ?? {},
  },
  prefixes: { hasPrefixes: true },
  compile: { router: { compile: true } },
  allowUnsafeRegex: {
    router: { allowUnsafeRegex: true },
    pattern: (path) => path.replace(/:p\d/g, (name) => `${name}(^([^/]+)+$)`),
  },
  querystringParser: { router: { querystringParser: (text: string) => ({ text }) } },
  regexpParameters: {
    pattern: (path, at) =>
      path.replace(/:p\d/g, (name) => `${name}${['(^.*$)', '(^[^/]+)', '(^\\w+$)'][at % 3]}`),
  },
  optionalParameters: {
    pattern: (path, _at, route, routes) => withOptionalEnd(path, route, routes),
    expand: withOptionalEnds,
  },
  all: {
    router: { ...forgiving, compile: true },
    options: { rewriteUrl: ({ url = '/' }) => url.replace(/\/b(?=\/|$)/, '/a') },
    constraints: (at) => [{}, { host: 'app.example.com' }, { version: '1.2.0' }][at % 3] ?? {},
    hasPrefixes: true,
  },
}

export const fastifyVersions = { 'Fastify 5': fastify, 'Fastify 4': fastify4 } as const

/** Header fields by which constraints choose a handler. */
export const constraintFields = [
  [],
  [['accept-version', '1.x']],
  [['accept-version', '2.0.0']],
  [['x-tenant', 'a']],
  [['x-tenant', 'b']],
] as const

export function routesFor(setup: RouterSetup, routes: readonly DeclaredRoute[]): readonly DeclaredRoute[] {
  return setup.expand?.(routes) ?? routes
}

export function buildFastify(
  framework: typeof fastify,
  setup: RouterSetup,
  routes: readonly DeclaredRoute[],
  guard: Guard,
): RequestListener {
  const { router = {}, options } = setup
  const routing = framework === fastify ? { routerOptions: router } : router
  const app = framework({ ...options, ...routing, forceCloseConnections: true })
  if (guard !== undefined) {
    app.register(forFastify.ajwt, 'verify' in guard ? { verifier: guard } : { policy: guard })
  }
  // Fastify 5 takes methods of WebDAV only where it is told of them.
  if ('addHttpMethod' in app) app.addHttpMethod('REPORT')
  const added = new Set<string>()
  for (const [at, route] of inOrder(routes).entries()) {
    const prefix = setup.hasPrefixes ? prefixOf(route) : ''
    const url = (setup.pattern?.(pathOf(route), at, route, routes) ?? pathOf(route)).slice(prefix.length)
    const constraints = setup.constraints?.(at) ?? {}
    const add = (target: FastifyInstance) => {
      for (const method of methodsOf(route, routes) as 'GET'[]) {
        // Fastify has one handler for each method, path and constraint: the first that is declared.
        const names = variantsOf(prefix + url).map((path) => JSON.stringify([method, path, constraints]))
        // `hasRoute` of Fastify 4 ends a path at a semicolon.
        if (names.some((name) => added.has(name))) continue
        if (app.hasRoute({ method, url: prefix + url, constraints })) continue
        for (const name of names) added.add(name)
        target.route({
          method,
          url,
          constraints,
          handler(request, reply) {
            const params = request.params as Record<string, unknown>
            reply.header(answerField, toField(answerOf(route, params, request.ajwt))).send('')
          },
        })
      }
    }
    if (prefix === '') add(app)
    else app.register(async (child: FastifyInstance) => add(child), { prefix })
  }
  return fastifyListener(app)
}

/** The paths that Fastify registers for a pattern: with and without an optional end. */
function variantsOf(url: string): readonly string[] {
  return url.endsWith('?') ? [url.slice(0, -1), url.replace(/\/:\w+\?$/, '')] : [url]
}

/** The methods for which a route has the key of a path: a key with named methods is the key of these. */
function methodsOf(route: DeclaredRoute, routes: readonly DeclaredRoute[]): readonly string[] {
  if (!route.methods.includes('*')) return route.methods
  const taken = routes.filter((other) => pathOf(other) === pathOf(route)).flatMap(({ methods }) => methods)
  return everyMethod.filter(
    (method) => !taken.includes(method === 'HEAD' && taken.includes('GET') ? 'GET' : method),
  )
}

const everyMethod = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']

/** A first segment that is a literal, with more behind it. */
function prefixOf({ segments }: DeclaredRoute): string {
  const [first = ''] = segments
  return segments.length > 1 && !/^[:*]/.test(first) ? `/${first}` : ''
}

/** A key without the last parameter, for the same callers, beside each that ends in one and has none. */
function withOptionalEnds(routes: readonly DeclaredRoute[]): readonly DeclaredRoute[] {
  const added: DeclaredRoute[] = []
  for (const route of routes) {
    const shorter = withoutLast(route)
    const taken = [...routes, ...added].some((other) => shapeOf(other.segments) === shapeOf(shorter))
    if (endsInParameter(route) && !taken) added.push(declare(route.methods, shorter, route.access))
  }
  return [...routes, ...added]
}

/** The pattern of both keys. */
function withOptionalEnd(path: string, route: DeclaredRoute, routes: readonly DeclaredRoute[]): string {
  const [shape, methods] = [shapeOf(withoutLast(route)), route.methods.join()]
  const others = routes.filter(({ segments }) => shapeOf(segments) === shape)
  const isPair =
    others.length === 1 && others[0]?.access === route.access && others[0].methods.join() === methods
  return endsInParameter(route) && isPair ? `${path}?` : path
}

const shapeOf = (segments: readonly string[]) => segments.join('/').replace(/:\w+/g, ':').toLowerCase()
const withoutLast = ({ segments }: DeclaredRoute) => segments.slice(0, -1)

function endsInParameter({ segments, hasTrailingSlash }: DeclaredRoute): boolean {
  return segments.length > 1 && !hasTrailingSlash && segments[segments.length - 1]?.startsWith(':') === true
}
