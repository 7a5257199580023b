import { isMap, isScalar, LineCounter, parseDocument } from 'yaml'
import { isObject } from '../../lib/objects.js'
import type { Policy } from '../../policy/policy.js'
import { isLiteral } from '../../policy/route-key.js'
import { createRouteTable, type Route, type RouteTable } from '../../routing/table.js'
import { readText } from '../files.js'
import { UsageError } from '../usage-error.js'
import type { Finding, Report } from './finding.js'
import { everySemantics, routesOf } from './route-lints.js'

/** One operation of an OpenAPI document (3.0, 3.1 or Swagger 2.0). */
export interface Operation {
  readonly method: string
  /** As the document has it: `/orders/{id}`. */
  readonly path: string
  /** Where it stands. Lines and columns count from 1. */
  readonly line: number
  readonly column: number
  /** The scopes that its security asks for; undefined: it asks for none and for no authentication. */
  readonly scopes: readonly string[] | undefined
}

export interface OpenApi {
  readonly file: string
  readonly operations: readonly Operation[]
  /** Path prefixes of the servers, without a last slash; at least one, which may be empty. */
  readonly bases: readonly string[]
  /** The URL of the first server, where it is absolute. */
  readonly server: string | undefined
  /** The issuer that its security schemes point at. */
  readonly issuer: string | undefined
}

const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace', 'query']

/** Reads an OpenAPI document, JSON or YAML. Throws a UsageError where it is none. */
export function readOpenApi(file: string): OpenApi {
  const lines = new LineCounter()
  const document = parseDocument(readText(file, 'openapi'), { lineCounter: lines })
  const [problem] = document.errors
  if (problem !== undefined) throw new UsageError(`${file}: ${problem.message.split('\n', 1)[0]}`)
  let api: unknown
  try {
    api = document.toJS({ maxAliasCount: 100 })
  } catch {
    throw new UsageError(`${file} has too many YAML aliases`)
  }
  if (!isObject(api) || !isObject(api.paths))
    throw new UsageError(`${file} is no OpenAPI document: it has no object "paths"`)

  const operations: Operation[] = []
  for (const [path, item] of Object.entries(api.paths)) {
    if (!path.startsWith('/') || !isObject(item)) continue
    const parent = document.getIn(['paths', path])
    for (const [name, operation] of Object.entries(item)) {
      if (!methods.includes(name.toLowerCase()) || !isObject(operation)) continue
      const { line, col } = lines.linePos(offsetOfKey(parent, name))
      const scopes = scopesOf(operation.security ?? api.security)
      operations.push({ method: name.toUpperCase(), path, line, column: col, scopes })
    }
  }
  const urls = serversOf(api)
  return {
    file,
    operations,
    bases: [...new Set(['', ...urls.map(basePathOf)])],
    server: urls.find((url) => /^https?:\/\//.test(url)),
    issuer: issuerOf(api),
  }
}

function offsetOfKey(map: unknown, name: string): number {
  const pair = isMap(map) ? map.items.find(({ key }) => isScalar(key) && key.value === name) : undefined
  return isScalar(pair?.key) ? (pair.key.range?.[0] ?? 0) : 0
}

/** Alternatives that need nothing count as no security, since a caller can choose them. */
function scopesOf(security: unknown): readonly string[] | undefined {
  if (!Array.isArray(security) || security.length === 0) return undefined
  const alternatives = security.filter(isObject)
  if (alternatives.some((alternative) => Object.keys(alternative).length === 0)) return undefined
  const [first = {}] = alternatives
  return [
    ...new Set(
      Object.values(first)
        .flat()
        .filter((scope) => typeof scope === 'string'),
    ),
  ]
}

function serversOf(api: Record<string, unknown>): readonly string[] {
  if (Array.isArray(api.servers))
    return api.servers.flatMap((server) =>
      isObject(server) && typeof server.url === 'string' ? [server.url] : [],
    )
  // Swagger 2.0
  const { host, basePath = '' } = api
  if (typeof basePath !== 'string') return []
  return [typeof host === 'string' ? `https://${host}${basePath}` : basePath]
}

function basePathOf(url: string): string {
  const path = URL.canParse(url, 'https://any.example') ? new URL(url, 'https://any.example').pathname : ''
  return path.replace(/\/+$/, '')
}

/** The origin of an OpenID or OAuth security scheme, as far as it tells an issuer. */
function issuerOf(api: Record<string, unknown>): string | undefined {
  const components = isObject(api.components) ? api.components.securitySchemes : api.securityDefinitions
  if (!isObject(components)) return undefined
  for (const scheme of Object.values(components).filter(isObject)) {
    const { openIdConnectUrl } = scheme
    if (typeof openIdConnectUrl === 'string')
      return openIdConnectUrl.replace(/\/\.well-known\/openid-configuration$/, '')
    const flows = isObject(scheme.flows) ? Object.values(scheme.flows).filter(isObject) : [scheme]
    const tokenUrl = flows.map((flow) => flow.tokenUrl).find((url) => typeof url === 'string')
    if (typeof tokenUrl === 'string' && URL.canParse(tokenUrl)) return new URL(tokenUrl).origin
  }
  return undefined
}

/** Compares the operations of a document with the keys of a policy, both ways. */
export function compareWithOpenApi(policy: Policy, api: OpenApi, report: Report): Finding[] {
  const routes = routesOf(policy)
  const table = createRouteTable(routes)
  // Whether the app sees the prefix of the server depends on what stands in front of it: the better reading
  // counts.
  const readings = api.bases.map((base) =>
    api.operations.map((operation) => findRoute(table, operation, base)),
  )
  const isFound = (route: Route | undefined) => route !== undefined
  const best = readings.reduce((one, other) =>
    other.filter(isFound).length > one.filter(isFound).length ? other : one,
  )
  const answered = new Set(best)
  for (const { key } of routes.filter((route) => !answered.has(route)))
    report('rule-without-operation', ['routes', key], `no operation of ${api.file} comes to this key`)
  return api.operations.flatMap((operation, index) => judge(operation, best[index], policy, api.file))
}

function judge(operation: Operation, route: Route | undefined, policy: Policy, file: string): Finding[] {
  const { method, path, line, column, scopes } = operation
  if (route === undefined) {
    const message = `${method} ${path}: no key of routes is for this operation, so that it is denied`
    const isOpen = policy.unmatched !== undefined && policy.unmatched !== 'deny'
    const told = isOpen ? message.replace('it is denied', `unmatched "${policy.unmatched}" decides`) : message
    return [{ file, line, column, message: told, lint: 'operation-without-rule' }]
  }
  const access = policy.routes[route.key as keyof Policy['routes']]
  if (access !== 'public' || scopes === undefined) return []
  const message = `${method} ${path}: the operation has security, and ${JSON.stringify(route.key)} is public`
  return [{ file, line, column, message, lint: 'secured-operation-public' }]
}

function findRoute(table: RouteTable, { method, path }: Operation, base: string): Route | undefined {
  const sample = base + path.replaceAll(/\{[^}]*\}/g, 'any-1')
  return everySemantics.map((semantics) => table.findRoute(method, sample, semantics)).find((route) => route)
}

/** A first policy for an API: what its document asks for, to be gone through by a person. */
export function firstPolicy(api: OpenApi): Policy {
  const routes: Record<string, Access> = {}
  const shapes = new Set<string>()
  for (const { method, path, scopes } of api.operations) {
    const pattern = toPattern(path)
    const shape = `${method} ${pattern.replaceAll(/:\w+/g, ':').toLowerCase()}`
    if (shapes.has(shape)) continue
    shapes.add(shape)
    routes[`${method} ${pattern}`] = accessFor(scopes)
  }
  const { server } = api
  const policy = {
    issuer: api.issuer?.startsWith('https://') ? api.issuer : 'https://as.example.com',
    audience: server?.replace(/\/+$/, '') ?? 'https://api.example.com',
    routes,
  }
  const base = server === undefined ? '' : basePathOf(server)
  return base === '' ? policy : { ...policy, publicUrl: policy.audience }
}

type Access = 'public' | 'authenticated' | { scope: string | string[] }

function accessFor(scopes: Operation['scopes']): Access {
  if (scopes === undefined) return 'public'
  const [only, ...more] = scopes
  if (only === undefined) return 'authenticated'
  return { scope: more.length === 0 ? only : [only, ...more] }
}

/** `/orders/{order-id}` as a policy writes it. A segment that is more than a parameter becomes one. */
function toPattern(path: string): string {
  const names = new Set<string>()
  const segments = path.split('/').map((segment) => {
    const [, written = ''] = /\{([^}]*)\}/.exec(segment) ?? []
    if (written === '' && (segment === '' || isLiteral(segment))) return segment
    let name = written.replaceAll(/\W+/g, '_').replace(/^(?=\d|$)/, 'p')
    while (names.has(name)) name += '_'
    names.add(name)
    return `:${name}`
  })
  return segments.join('/')
}
