import type { Context, MiddlewareHandler, Next } from 'hono'
import {
  AjwtDenial,
  type Grant,
  type HandlerRule,
  type Policy,
  type Routing,
  type Verifier,
  type VerifierOptions,
} from '../src/index.js'
import { parseContent, type RequestContent } from './content.js'
import {
  AdapterRequest,
  checkRequest,
  createMiddlewareCore,
  createRuleMiddleware,
  isCorsField,
  type MiddlewareResult,
} from './core.js'
import { compareRoutes, markAsAjwt, type RouteReport } from './coverage.js'
import { handlersOf, type RouterRoute } from './hono-handlers.js'
import {
  authOf,
  createMcpProtection,
  createToolMiddleware,
  type DecideMessageOptions,
  honoMessageOf,
  type McpAuthInfo,
  type McpOptions,
  type McpPolicy,
  type McpRules,
} from './mcp.js'

export { AjwtDenial, type McpPolicy, type McpRules, type RouteReport }

/** The variable that `ajwt` sets on the context: `c.get('ajwt')`. */
export interface AjwtEnv {
  Variables: {
    /** The verified grant. Undefined if `ajwt` allowed the request without credentials. */
    ajwt: Grant | undefined
  }
}

export interface DenialOptions {
  /**
   * Returns the app's own response to a denial, or throws an error, such as the denial, for `app.onError`.
   * Without a response, the default one is sent. The challenge is already set, as by `c.header`. It can never
   * allow the request.
   */
  onDenied?: (denial: AjwtDenial, c: Context) => Response | undefined | Promise<Response | undefined>
}

/** The variables that `protectMcp` sets on the context. */
export interface McpEnv extends AjwtEnv {
  Variables: AjwtEnv['Variables'] & {
    /** For the MCP SDK: `handler.fetch(request, { authInfo: c.get('auth') })`. Undefined without a grant. */
    auth: McpAuthInfo | undefined
  }
}

export type AjwtOptions = VerifierOptions & DenialOptions

export type ToolOptions = DenialOptions & DecideMessageOptions

export type ProtectMcpOptions = DenialOptions & McpOptions

/**
 * Allows the requests that the policy allows, denies all others, and sets the verified grant as `ajwt` on the
 * context. Throws a PolicyError if the policy is invalid.
 */
export function ajwt(
  policy: Policy | Verifier,
  { onDenied, ...options }: AjwtOptions = {},
): MiddlewareHandler<AjwtEnv> {
  const core = createMiddlewareCore(policy, options)
  return markAsAjwt(async function ajwt(c, next) {
    const hadBegun = c.finalized
    // An earlier value was not set by this middleware.
    c.set('ajwt', undefined)
    const result = await core.pass(c, requestOf(c))
    if (c.finalized && !hadBegun) return
    if (result.kind === 'answer') return answer(result, c, onDenied)
    c.set('ajwt', result.grant)
    await next()
    // After the handler: a `Response` that it constructs itself lacks the fields that were set before.
    setFields(c, result.fieldsAtEnd(c.finalized ? c.res.status : 0))
  })
}

/**
 * Applies one more rule, for one handler, to a request that `ajwt` has allowed. `param` in the rule refers to
 * the parameters of that handler. Throws a PolicyError if the rule is invalid.
 */
export function requireIntent(
  rule: HandlerRule<Context>,
  { onDenied }: DenialOptions = {},
): MiddlewareHandler<AjwtEnv> {
  const pass = createRuleMiddleware(rule)
  return ruleHandler('requireIntent', onDenied, (c) => pass(c, c.req.param(), c, contentOf(c)))
}

/**
 * Checks the JSON-RPC message of a request to an MCP server by the rules of its tool, prompt, resource or
 * method. Mount it behind `ajwt`, in front of the handler of the MCP SDK. Throws a
 * PolicyError if the rules are invalid.
 */
export function requireToolIntent(
  rules: McpRules,
  { onDenied, ...options }: ToolOptions = {},
): MiddlewareHandler<AjwtEnv> {
  const check = createToolMiddleware(rules, options)
  return ruleHandler('requireToolIntent', onDenied, async (c) =>
    check({ source: c, headers: c.req.raw.headers, body: await honoMessageOf(c) }),
  )
}

/** A middleware that lets the request continue where its rule is met. */
function ruleHandler(
  name: string,
  onDenied: DenialOptions['onDenied'],
  pass: (c: Context) => Promise<MiddlewareResult>,
): MiddlewareHandler<AjwtEnv> {
  const handler: MiddlewareHandler<AjwtEnv> = async (c, next) => {
    const hadBegun = c.finalized
    const result = await pass(c)
    if (c.finalized && !hadBegun) return
    if (result.kind === 'answer') return answer(result, c, onDenied)
    // The rule is only observed and was not met: a grant would tell the handler that it was.
    if (result.grant === undefined) c.set('ajwt', undefined)
    await next()
    // `ajwt` sets the fields of limits, which later rules may have changed.
    setFields(c, Object.fromEntries(Object.entries(result.headers).filter(([name]) => !isLimitField(name))))
  }
  return Object.defineProperty(handler, 'name', { value: name })
}

/** Hono parses a body when a handler asks for it. Read here, it stays readable: `c.req` keeps the bytes. */
function contentOf(c: Context): RequestContent {
  return {
    url: c.req.url,
    keptIn: 'c.req, unless an earlier middleware has read c.req.formData or c.req.raw',
    field: (name) => c.req.header(name),
    bytes: () => bytesOf(c),
    async body() {
      const bytes = await bytesOf(c)
      return bytes && parseContent(bytes, c.req.header('content-type') ?? '')
    },
  }
}

/** Undefined where only parsed content is left, or where the content cannot be read. */
async function bytesOf({ req }: Context): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const cached = Object.keys(req.bodyCache)
  const isParsed = cached.length > 0 && !cached.some((form) => /^(arrayBuffer|text|blob)$/.test(form))
  if (isParsed || (cached.length === 0 && req.raw.bodyUsed)) return undefined
  try {
    return new Uint8Array(await req.arrayBuffer())
  } catch {
    return undefined
  }
}

/**
 * Protects an MCP server: `ajwt`, `bindSessions`, `endWithToken` and `requireToolIntent` in one middleware.
 * Sets `auth` on the context for the MCP SDK, and on Node's request where there is one. Mount it on the app,
 * in front of the handler of the MCP SDK. Requests to other paths pass `ajwt` alone. Throws a PolicyError if
 * policy, rules or options are invalid.
 */
export function protectMcp(
  policy: McpPolicy | Verifier,
  rules: McpRules,
  { onDenied, ...options }: ProtectMcpOptions = {},
): MiddlewareHandler<McpEnv> {
  const denialOptions = onDenied === undefined ? {} : { onDenied }
  const { verifier, isMcp, middleware, toolOptions } = createMcpProtection(policy, options)
  const authenticate: MiddlewareHandler = ajwt(verifier, denialOptions)
  const checks: MiddlewareHandler[] = [
    ...middleware,
    requireToolIntent(rules, { ...toolOptions, ...denialOptions }),
    (c, next) => {
      setAuth(c)
      return next()
    },
  ]
  return markAsAjwt(async function protectMcp(c, next) {
    return authenticate(c, async () => runAll((await isMcp(c)) ? checks : [], c, next))
  })
}

/** Also for a handler that gets Node's own request from `@hono/node-server`. */
function setAuth(c: Context): void {
  const auth = authOf(c.get('ajwt'))
  c.set('auth', auth)
  const incoming: unknown = Object(c.env).incoming
  if (typeof incoming === 'object' && incoming !== null) Object.assign(incoming, { auth })
}

/** Runs middleware one after the other. Hono itself does so only with those that it is given. */
async function runAll([first, ...rest]: readonly MiddlewareHandler[], c: Context, next: Next): Promise<void> {
  if (first === undefined) return next()
  const response = await first(c, () => runAll(rest, c, next))
  if (response !== undefined && !c.finalized) c.res = response
}

/**
 * Checks a rule as `requireIntent` does, without a response, for GraphQL resolvers, procedures and sockets.
 * Resolves to the denial, or to undefined if the rule is met or only observed. Default of `params`: those of
 * the handler. Rejects with a PolicyError if the rule is invalid.
 */
export async function checkIntent(
  c: Context,
  rule: HandlerRule<Context>,
  params: unknown = c.req.param(),
): Promise<AjwtDenial | undefined> {
  return checkRequest(c, rule, params, c, contentOf(c))
}

/**
 * Compares the handlers of an app with the keys of a policy: `uncovered` handlers have no key, `unanswered`
 * keys have no handler, and handlers in `beforeMiddleware` are reached without passing `ajwt`. Call it in a
 * test, or at start after every route is registered. Functions with a parameter `next` that are registered
 * for every method count as middleware. Rejects with a PolicyError if the policy is invalid.
 */
export async function verifyRoutes(
  app: { readonly routes: readonly RouterRoute[] },
  policy: Policy | Verifier,
): Promise<RouteReport> {
  return compareRoutes(policy, handlersOf(Object(app).routes), { byPattern: false, caseSensitive: true })
}

function requestOf(c: Context): AdapterRequest {
  const { method, url, headers } = c.req.raw
  const routing = routingOf(c)
  return new AdapterRequest({ method, url, headers, routing }, () => c.req.raw.signal)
}

/**
 * Hono decodes a path before it routes, and does not ignore letter case. `c.req.path` is after `strict:
 * false`.
 */
function routingOf(c: Context): Routing {
  // Hono runs the GET handler for HEAD, and no other.
  const method = c.req.method === 'HEAD' ? 'GET' : c.req.method
  return {
    path: c.req.path,
    decoded: true,
    method,
    caseSensitive: true,
    strict: true,
    wildcardMatchesEmpty: true,
  }
}

async function answer(
  { answer: { status, headers, body }, denial }: Extract<MiddlewareResult, { kind: 'answer' }>,
  c: Context,
  onDenied: DenialOptions['onDenied'],
): Promise<Response> {
  if (denial !== undefined && onDenied !== undefined) {
    for (const [name, value] of Object.entries(headers)) if (name !== 'content-type') c.header(name, value)
    const own = await onDenied(new AjwtDenial(denial), c)
    // Hono would take another value as permission to continue.
    if (isResponse(own)) return own.status === status ? withMissing(own, headers) : own
  }
  return refusal(c, status, headers, body)
}

/**
 * The denial's response, with the fields of earlier middleware, such as a request id. The denial's fields
 * win.
 */
function refusal(
  c: Context,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string,
): Response {
  // `newResponse` copies the fields that were set by `c.header` or on `c.res`.
  const response = c.newResponse(body === '' ? null : body, { status: status as 200 })
  for (const [name, value] of Object.entries(headers)) {
    // A CORS field that the app has set is the app's decision on who may read.
    if (!(isCorsField(name) && response.headers.has(name))) response.headers.set(name, value)
  }
  // Otherwise a field of the earlier `c.res` would win over the same field of the denial.
  c.res = undefined
  c.res = response
  return response
}

/** Also an object of another `Response` class, such as that of `fetch` under `@hono/node-server`. */
function isResponse(value: unknown): value is Response {
  return value instanceof Response || Object.prototype.toString.call(value) === '[object Response]'
}

/** The app's response, with the header fields of the denial that it lacks. */
function withMissing(own: Response, headers: Readonly<Record<string, string>>): Response {
  const missing = Object.entries(headers).filter(
    ([name]) => name !== 'content-type' && !own.headers.has(name),
  )
  if (missing.length === 0) return own
  const copy = new Response(own.body, own)
  for (const [name, value] of missing) copy.headers.set(name, value)
  return copy
}

function isLimitField(name: string): boolean {
  return name.startsWith('ratelimit')
}

/** Sets fields on the `Response` of the request. */
function setFields(c: Context, headers: Readonly<Record<string, string>>): void {
  const fields = Object.entries(headers)
  if (fields.length === 0) return
  try {
    if (c.finalized) {
      for (const [name, value] of fields) {
        // Set by a rule of the handler, which has denied the request for a limit.
        if (!(isLimitField(name) && c.res.headers.has(name))) c.res.headers.set(name, value)
      }
      return
    }
  } catch {
    // The fields of a `Response` from `fetch` are immutable. One with status 101 cannot be copied either.
    if (c.res.status < 200) return
  }
  // Hono copies the response.
  for (const [name, value] of fields) c.header(name, value)
}
