import { isObject, ownMember } from '../lib/objects.js'
import type { Consumed } from '../stores/replay.js'
import { isSimplePath } from './path.js'
import { parameterValues } from './query.js'

/** How the framework routes: how it will look up a path, or which pattern it has matched. */
export type Routing = PathRouting | MatchedRoute

/** How the framework will look up a path. */
export interface PathRouting {
  /** The path by which the handler is looked up. Default: the path of `url`. */
  readonly path?: string
  /** Whether `path` is decoded, except for reserved characters and `%`. */
  readonly decoded?: boolean
  /** The method by which the handler is looked up, after a method override. Default: `method`. */
  readonly method?: string
  /** Whether `/A` and `/a` are different paths. */
  readonly caseSensitive: boolean
  /** Whether `/a` and `/a/` are different paths. */
  readonly strict: boolean
  /** Whether a final `*` also matches nothing, as in `/a` for `/a/*`. */
  readonly wildcardMatchesEmpty: boolean
}

/**
 * The pattern that a framework has matched. The policy's key of the same shape applies; no path is looked up.
 */
export interface MatchedRoute {
  /**
   * The whole pattern, from the app's root: `/orders/:id`. Undefined where the framework found no handler. A
   * pattern that no key of a policy can have counts as undeclared.
   */
  readonly route: string | undefined
  /**
   * The values of the pattern's parameters by name, decoded once. One that is no string counts as undeclared.
   */
  readonly params?: object | undefined
  /** The method of the matched handler, where a method override was applied. Default: `method`. */
  readonly method?: string | undefined
}

/** Node's header object, its `headersDistinct` or its `rawHeaders`, or a Fetch `Headers`. */
export type HeaderSource =
  | readonly string[]
  | { readonly [name: string]: string | readonly string[] | undefined }
  | { get(name: string): string | null }

/** A request, as `verify` takes it. */
export interface VerifyRequest {
  /** As on the wire. */
  readonly method: string
  /** Absolute, or path with query. */
  readonly url: string
  readonly headers: HeaderSource
  /** Without it, a path that the supported frameworks would route differently counts as undeclared. */
  readonly routing?: Routing
  /** Aborted when the client has gone: cancels the option `authorize`. A Fetch `Request` has it. */
  readonly signal?: AbortSignal
}

/** A request field that holds only a token. The name is in lower case. */
export interface TokenField {
  readonly name: string
  readonly value: string
}

const noTokenFields: readonly TokenField[] = Object.freeze([])

/** The parts of a request that the checks read. */
export interface RequestFacts {
  /** As on the wire. */
  readonly method: string
  /** The path on the wire, not decoded. */
  readonly path: string
  /** The offset of the path in the URL: 0 in origin form. */
  readonly pathStart: number
  /** Whether the path has one spelling only. */
  readonly isSimplePath: boolean
  readonly query: string
  /** One element per header field. */
  readonly authorization: readonly string[]
  readonly dpop: readonly string[]
  /** Fields other than `Authorization` in which issuers of the policy send tokens. */
  readonly tokenFields: readonly TokenField[]
  readonly isPreflight: boolean
  /** Methods that a method override names. */
  readonly methodOverrides: readonly string[]
  readonly routing: KnownRouting | KnownRoute | undefined
  /** Proofs and single-use tokens that this request has used. Undefined without an adapter. */
  readonly consumed: Consumed[]
  /** The request itself, for its `signal`, which is read only if it is needed. */
  readonly source: VerifyRequest
}

/** PathRouting with every member set: none is read from a polluted prototype. */
export interface KnownRouting extends Required<PathRouting> {
  readonly kind: 'path'
}

/** MatchedRoute with every member set. */
export interface KnownRoute {
  readonly kind: 'route'
  readonly route: string | undefined
  readonly params: object
  readonly method: string
}

/**
 * The header fields of a Node request as the app has left them: a field that a middleware deleted or set
 * counts as deleted or set. `rawHeaders` only shows repeated fields, which `headers` hides; function hosts
 * may leave it empty.
 */
export function fieldsOf({
  rawHeaders,
  headers,
}: {
  readonly rawHeaders?: readonly string[] | undefined
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
}): HeaderSource {
  if (rawHeaders === undefined || rawHeaders.length === 0) return headers
  const seen = new Set<string>()
  const repeated = new Set<string>()
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name: unknown = rawHeaders[at]
    // A malformed list could hide a second field. The request is denied when the list is read.
    if (typeof name !== 'string' || typeof rawHeaders[at + 1] !== 'string') return rawHeaders
    const lower = name.toLowerCase()
    if (seen.has(lower)) repeated.add(lower)
    else if (fieldNames.includes(lower)) seen.add(lower)
  }
  return repeated.size === 0 ? headers : withRepeated(headers, rawHeaders, [...repeated])
}

/** The fields with all values of repeated ones, unless the app has set another value since. */
function withRepeated(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
  rawHeaders: readonly string[],
  repeated: readonly string[],
): HeaderSource {
  const fields: Record<string, string | readonly string[] | undefined> = Object.assign(
    Object.create(null),
    headers,
  )
  for (const name of repeated) {
    const values = rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name)
    for (const key of Object.keys(fields)) {
      const value = fields[key]
      // Node keeps the first of some fields, and joins the values of others.
      const isAsItCame = typeof value === 'string' && (values.includes(value) || value === values.join(', '))
      if (key.toLowerCase() === name && isAsItCame) fields[key] = values
    }
  }
  return fields
}

/** Reads a request. A member of the wrong type counts as absent. */
export function readRequest(
  request: VerifyRequest,
  consumed: Consumed[],
  tokenFieldNames: readonly string[],
): RequestFacts {
  const method = typeof request.method === 'string' ? request.method : ''
  const { path, pathStart, query } = splitTarget(typeof request.url === 'string' ? request.url : '')
  const fields = readFields(request.headers, method)
  return {
    method,
    path,
    pathStart,
    isSimplePath: isSimplePath(path),
    query,
    authorization: fields.authorization,
    dpop: fields.dpop,
    tokenFields:
      tokenFieldNames.length === 0 ? noTokenFields : readTokenFields(request.headers, tokenFieldNames),
    isPreflight: method === 'OPTIONS' && fields.origin.length === 1 && fields.requestedMethod.length === 1,
    methodOverrides:
      query === '' ? fields.methodOverride : [...fields.methodOverride, ...queryMethodOverrides(query)],
    routing: readRouting(request),
    consumed,
    source: request,
  }
}

function readRouting(request: VerifyRequest): RequestFacts['routing'] {
  const routing = ownMember(request, 'routing')
  if (routing === undefined) return undefined
  if (!isObject(routing)) throw new TypeError('routing must be an object')
  const method = ownMember(routing, 'method') ?? request.method
  if (Object.hasOwn(routing, 'route')) {
    const [route, params] = [ownMember(routing, 'route'), ownMember(routing, 'params')]
    return {
      kind: 'route',
      route: typeof route === 'string' ? route : undefined,
      params: typeof params === 'object' && params !== null ? params : noParams,
      method: typeof method === 'string' ? method : '',
    }
  }
  const path = ownMember(routing, 'path') ?? splitTarget(request.url).path
  if (typeof path !== 'string') throw new TypeError('routing.path must be a string')
  return {
    kind: 'path',
    path,
    decoded: ownMember(routing, 'decoded') === true,
    method: typeof method === 'string' ? method : '',
    caseSensitive: ownMember(routing, 'caseSensitive') === true,
    strict: ownMember(routing, 'strict') === true,
    wildcardMatchesEmpty: ownMember(routing, 'wildcardMatchesEmpty') === true,
  }
}

const noParams: object = Object.freeze({})

/**
 * Splits a request target in origin or absolute form (RFC 9112 section 3.2). The URL parser would resolve dot
 * segments and backslashes, which must be seen. Scheme and authority of the absolute form are ignored.
 */
function splitTarget(target: string): { path: string; pathStart: number; query: string } {
  const start = target.startsWith('/')
    ? 0
    : (/^[a-z][a-z0-9+.-]*:\/\/[^/?#\\]*/i.exec(target)?.[0].length ?? 0)
  const mark = target.indexOf('?', start)
  const path = target.slice(start, mark < 0 ? undefined : mark)
  const query = mark < 0 ? '' : target.slice(mark + 1)
  return { path: path === '' && start > 0 ? '/' : path, pathStart: start, query }
}

interface Fields {
  authorization: readonly string[]
  dpop: readonly string[]
  origin: readonly string[]
  requestedMethod: readonly string[]
  methodOverride: readonly string[]
}

/** The header fields that are read, in lower case. */
const fieldNames = [
  'authorization',
  'dpop',
  'origin',
  'access-control-request-method',
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
]

/** The header fields that are read for every method. */
const fieldNamesOfAny = fieldNames.filter(
  (name) => name !== 'origin' && name !== 'access-control-request-method',
)

const none: readonly string[] = Object.freeze([])

function readFields(headers: HeaderSource, method: string): Fields {
  const fields: Fields = {
    authorization: none,
    dpop: none,
    origin: none,
    requestedMethod: none,
    methodOverride: none,
  }
  if (isRawHeaders(headers)) addRawHeaders(fields, headers)
  else if (isFetchHeaders(headers)) addFetchHeaders(fields, headers, method)
  else addNodeHeaders(fields, headers)
  return fields
}

/** Throws for another list than names and values: it does not mean a request without credentials. */
function addRawHeaders(fields: Fields, headers: readonly unknown[]): void {
  for (let at = 0; at < headers.length; at += 2) {
    const [name, value] = [headers[at], headers[at + 1]]
    if (typeof name !== 'string' || typeof value !== 'string') throw new TypeError('no list of fields')
    add(fields, name.toLowerCase(), value)
  }
}

/** Every lookup costs time: the two fields of a preflight are read for OPTIONS only. */
function addFetchHeaders(fields: Fields, headers: FetchHeaders, method: string): void {
  for (const name of method === 'OPTIONS' ? fieldNames : fieldNamesOfAny) add(fields, name, headers.get(name))
}

/**
 * Names in Node's objects are in lower case. A caller's object may have `Authorization` too, or both. Throws
 * without an object: it does not mean a request without credentials.
 */
function addNodeHeaders(fields: Fields, headers: Readonly<Record<string, unknown>>): void {
  for (const name of Object.keys(headers)) add(fields, name.toLowerCase(), headers[name])
}

interface FetchHeaders {
  get(name: string): string | null
}

/** The fields with these names, which are in lower case. Node joins the values of a repeated field. */
function readTokenFields(headers: HeaderSource, names: readonly string[]): readonly TokenField[] {
  const toFields = (name: string, value: unknown): TokenField[] => {
    const lower = name.toLowerCase()
    return names.includes(lower) ? valuesOf(value).map((text) => ({ name: lower, value: text })) : []
  }
  if (isRawHeaders(headers))
    return headers.flatMap((value, at) => (at % 2 === 1 ? toFields(String(headers[at - 1]), value) : []))
  if (isFetchHeaders(headers)) return names.flatMap((name) => toFields(name, headers.get(name)))
  return Object.entries(headers).flatMap(([name, value]) => toFields(name, value))
}

function isRawHeaders(headers: HeaderSource): headers is readonly string[] {
  return Array.isArray(headers)
}

function isFetchHeaders(headers: Exclude<HeaderSource, readonly string[]>): headers is FetchHeaders {
  return typeof headers?.get === 'function'
}

function add(fields: Fields, name: string, value: unknown): void {
  switch (name) {
    case 'authorization':
      fields.authorization = join(fields.authorization, value)
      break
    case 'dpop':
      fields.dpop = join(fields.dpop, value)
      break
    case 'origin':
      fields.origin = join(fields.origin, value)
      break
    case 'access-control-request-method':
      fields.requestedMethod = join(fields.requestedMethod, value)
      break
    case 'x-http-method-override':
    case 'x-http-method':
    case 'x-method-override':
      fields.methodOverride = join(fields.methodOverride, value)
  }
}

function join(values: readonly string[], value: unknown): readonly string[] {
  return values.length === 0 ? valuesOf(value) : [...values, ...valuesOf(value)]
}

function valuesOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value]
  if (!Array.isArray(value)) return none
  if (value.length === 1 && typeof value[0] === 'string') return [value[0]]
  return value.filter((item) => typeof item === 'string')
}

/** Method overrides in the query parameter `_method`. */
function queryMethodOverrides(query: string): readonly string[] {
  const values = parameterValues(query, '_method')
  return values.length === 0
    ? values
    : values.map(decodeValue).filter((value) => /^[a-z]+(-[a-z]+)*$/i.test(value))
}

/** A value that cannot be decoded names no method. */
function decodeValue(value: string): string {
  try {
    return decodeURIComponent(value.replaceAll('+', ' ')).trim()
  } catch {
    return ''
  }
}
