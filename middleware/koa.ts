import type { Context, Middleware } from 'koa'
import {
  AjwtDenial,
  type Grant,
  type HandlerRule,
  type Policy,
  type Routing,
  type Verifier,
  type VerifierOptions,
} from '../src/index.js'
import { contentOfParsed, type RequestContent } from './content.js'
import {
  AdapterRequest,
  checkRequest,
  createMiddlewareCore,
  createRuleMiddleware,
  fieldsOf,
  isCorsField,
  type MiddlewareResult,
  signalOf,
} from './core.js'
import { compareRoutes, markAsAjwt, type RouteReport } from './coverage.js'
import { handlersOf } from './koa-handlers.js'
import {
  authOf,
  createMcpProtection,
  createToolMiddleware,
  type DecideMessageOptions,
  type McpOptions,
  type McpPolicy,
  type McpRules,
} from './mcp.js'

export { AjwtDenial, type McpPolicy, type McpRules, type RouteReport }

/** The members that `ajwt` sets on `ctx.state`. */
export interface AjwtState {
  /** The verified grant. Undefined if `ajwt` allowed the request without credentials. */
  ajwt?: Grant
}

export interface DenialOptions {
  /**
   * Changes the response to a denial, or throws an error, such as the denial, for the app's error handling.
   * Status, header fields and body are already set. It can never allow the request.
   */
  onDenied?: (denial: AjwtDenial, ctx: Context) => unknown
}

export type AjwtOptions = VerifierOptions & DenialOptions

export type ToolOptions = DenialOptions & DecideMessageOptions

export type ProtectMcpOptions = DenialOptions & McpOptions

/**
 * Allows the requests that the policy allows, denies all others, and sets `ctx.state.ajwt` to the verified
 * grant. Throws a PolicyError if the policy is invalid.
 */
export function ajwt(
  policy: Policy | Verifier,
  { onDenied, ...options }: AjwtOptions = {},
): Middleware<AjwtState> {
  const core = createMiddlewareCore(policy, options)
  return markAsAjwt(async function ajwt(ctx, next) {
    const hadBegun = hasBegun(ctx)
    // An earlier value was not set by this middleware.
    delete ctx.state.ajwt
    const result = await core.pass(ctx.req, requestOf(ctx))
    if (hasBegun(ctx) && !hadBegun) return
    if (result.kind === 'answer') return answer(result, ctx, onDenied)
    if (result.grant !== undefined) ctx.state.ajwt = result.grant
    await goOn(ctx, next, result)
  })
}

/**
 * Applies one more rule, for one handler, to a request that `ajwt` has allowed. `param` in the rule refers to
 * the parameters of that handler. Throws a PolicyError if the rule is invalid.
 */
export function requireIntent(
  rule: HandlerRule<Context>,
  { onDenied }: DenialOptions = {},
): Middleware<AjwtState> {
  const pass = createRuleMiddleware(rule)
  return ruleHandler('requireIntent', onDenied, (ctx) => pass(ctx.req, paramsOf(ctx), ctx, contentOf(ctx)))
}

/**
 * Checks the JSON-RPC message of a request to an MCP server by the rules of its tool, prompt, resource or
 * method. Mount it behind `ajwt` and behind the JSON parser, in front of the handler of the MCP SDK. Throws a
 * PolicyError if the rules are invalid.
 */
export function requireToolIntent(
  rules: McpRules,
  { onDenied, ...options }: ToolOptions = {},
): Middleware<AjwtState> {
  const check = createToolMiddleware(rules, options)
  return ruleHandler('requireToolIntent', onDenied, ({ req, request }) =>
    check({ source: req, headers: req.headers, body: 'body' in request ? request.body : undefined }),
  )
}

/** A middleware that lets the request continue where its rule is met. */
function ruleHandler(
  name: string,
  onDenied: DenialOptions['onDenied'],
  pass: (ctx: Context) => Promise<MiddlewareResult>,
): Middleware<AjwtState> {
  const handler: Middleware<AjwtState> = async (ctx, next) => {
    const hadBegun = hasBegun(ctx)
    const result = await pass(ctx)
    if (hasBegun(ctx) && !hadBegun) return
    if (result.kind === 'answer') return answer(result, ctx, onDenied)
    // The rule is only observed and was not met: a grant would tell the handler that it was.
    if (result.grant === undefined) delete ctx.state.ajwt
    await goOn(ctx, next, result)
  }
  return Object.defineProperty(handler, 'name', { value: name })
}

/**
 * Protects an MCP server: `ajwt`, `bindSessions`, `endWithToken` and `requireToolIntent` in one middleware.
 * Sets `ctx.req.auth` for the MCP SDK. Mount it on the app, behind the JSON parser and in front of the
 * handler of the MCP SDK. Requests to other paths pass `ajwt` alone. Throws a PolicyError if policy, rules or
 * options are invalid.
 */
export function protectMcp(
  policy: McpPolicy | Verifier,
  rules: McpRules,
  { onDenied, ...options }: ProtectMcpOptions = {},
): Middleware<AjwtState> {
  const denialOptions = onDenied === undefined ? {} : { onDenied }
  const { verifier, isMcp, middleware, toolOptions } = createMcpProtection(policy, options)
  const authenticate = ajwt(verifier, denialOptions)
  const checks: Middleware<AjwtState>[] = [
    ...middleware,
    requireToolIntent(rules, { ...toolOptions, ...denialOptions }),
    (ctx, next) => {
      Object.assign(ctx.req, { auth: authOf(ctx.state.ajwt) })
      return next()
    },
  ]
  return markAsAjwt(async function protectMcp(ctx, next) {
    await authenticate(ctx, async () => runAll((await isMcp(ctx.req)) ? checks : [], ctx, next))
  })
}

/** Runs middleware one after the other. */
async function runAll(
  [first, ...rest]: readonly Middleware<AjwtState>[],
  ctx: Parameters<Middleware<AjwtState>>[0],
  next: () => Promise<unknown>,
): Promise<unknown> {
  return first === undefined ? next() : first(ctx, () => runAll(rest, ctx, next))
}

/**
 * Checks a rule as `requireIntent` does, without a response, for GraphQL resolvers, procedures and sockets.
 * Resolves to the denial, or to undefined if the rule is met or only observed. Default of `params`: those of
 * the handler. Rejects with a PolicyError if the rule is invalid.
 */
export async function checkIntent(
  ctx: Context,
  rule: HandlerRule<Context>,
  params: unknown = paramsOf(ctx),
): Promise<AjwtDenial | undefined> {
  return checkRequest(ctx.req, rule, params, ctx, contentOf(ctx))
}

/** `ctx.url` is what `ctx.query` is made of. Body parsers set `ctx.request.body` and `rawBody` beside it. */
function contentOf(ctx: Context): RequestContent {
  const { url, headers, request, req } = ctx
  const body = 'body' in request ? request.body : undefined
  const keptIn = 'ctx.request.rawBody, which @koa/bodyparser sets'
  return contentOfParsed({ url, headers, body, keepers: [request, req], keptIn })
}

/** The path parameters that @koa/router has set. */
function paramsOf(ctx: object): unknown {
  return 'params' in ctx ? ctx.params : undefined
}

/**
 * Compares the handlers of an app with the keys of a policy: `uncovered` handlers have no key, `unanswered`
 * keys have no handler, and handlers in `beforeMiddleware` are reached without passing `ajwt`. Call it in a
 * test, or at start after every route is registered. Reads the routers of `@koa/router` that the app uses, or
 * one router. Rejects with a PolicyError if the policy is invalid.
 */
export async function verifyRoutes(
  app: { readonly middleware: readonly object[] } | { readonly stack: readonly object[] },
  policy: Policy | Verifier,
): Promise<RouteReport> {
  return compareRoutes(policy, handlersOf(app), { byPattern: false, caseSensitive: false })
}

function requestOf(ctx: Context): AdapterRequest {
  return new AdapterRequest(
    {
      method: wireMethod(ctx),
      url: ctx.originalUrl,
      headers: fieldsOf(ctx.req),
      routing: routingOf(ctx),
    },
    () => signalOf(ctx.res),
  )
}

/**
 * @koa/router routes by `newRouterPath` if it is set, else by `path`. koa-mount removes the mount path from
 * `path`.
 */
function routingOf(ctx: Context): Routing {
  return {
    path: pathFromRoot(ctx),
    method: ctx.method,
    caseSensitive: false,
    strict: false,
    wildcardMatchesEmpty: false,
  }
}

function pathFromRoot(ctx: Context): string {
  const mountPath = 'mountPath' in ctx ? ctx.mountPath : undefined
  const newRouterPath = 'newRouterPath' in ctx ? ctx.newRouterPath : undefined
  if (typeof newRouterPath === 'string' && newRouterPath !== '') return newRouterPath
  if (typeof mountPath !== 'string') return ctx.path
  const path = ctx.originalUrl.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').replace(/[?#].*$/s, '')
  if (path === ctx.path) return path
  const rest = ctx.path === '/' && !path.endsWith('/') ? '' : ctx.path
  const prefix = path.slice(0, path.length - rest.length)
  // Another middleware has rewritten the path, so the path from the app's root is unknown.
  return prefix + rest === path && prefix.endsWith(mountPath.replace(/\/$/, '')) ? path : ''
}

/** Method overrides keep the original method. A proof is made for that one. */
function wireMethod(ctx: Context): string {
  const { req } = ctx
  return 'originalMethod' in req && typeof req.originalMethod === 'string' ? req.originalMethod : ctx.method
}

/** Whether other code has responded, or has told Koa that it will (`ctx.respond`), such as a timeout. */
function hasBegun(ctx: Context): boolean {
  return ctx.headerSent || ctx.respond === false
}

async function goOn(
  ctx: Context,
  next: () => Promise<unknown>,
  { headers, onResponse }: Extract<MiddlewareResult, { kind: 'continue' }>,
): Promise<void> {
  ctx.set(headers)
  if (onResponse !== undefined) ctx.res.once('finish', () => onResponse(ctx.res.statusCode))
  try {
    await next()
  } catch (error) {
    throw withFields(error, headers)
  }
}

async function answer(
  { answer: { status, headers, body }, denial }: Extract<MiddlewareResult, { kind: 'answer' }>,
  ctx: Context,
  onDenied: DenialOptions['onDenied'],
): Promise<void> {
  // The response was begun before this middleware ran. It can only be ended.
  if (ctx.headerSent) return void ctx.res.end()
  ctx.status = status
  setFields(ctx, headers)
  ctx.body = body
  if (denial !== undefined && onDenied !== undefined) {
    // The content type is that of the default body. The app's body has its own.
    ctx.remove('content-type')
    try {
      await onDenied(new AjwtDenial(denial), ctx)
    } catch (error) {
      throw isOfStatus(error, status) ? withFields(error, headers) : error
    }
  }
  if (ctx.body === body && !ctx.res.hasHeader('content-type')) ctx.set('content-type', 'application/json')
  // With `respond: false`, set by earlier middleware, Koa sends nothing.
  if (ctx.respond === false && !ctx.headerSent) ctx.res.end(body)
}

function setFields(ctx: Context, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    // A CORS field that the app has set is the app's decision on who may read.
    if (!(isCorsField(name) && ctx.res.hasHeader(name))) ctx.set(name, value)
  }
}

/** Whether the error leads to a response with the status of the denial. */
function isOfStatus(error: unknown, status: number): boolean {
  const { status: own, statusCode }: { status?: unknown; statusCode?: unknown } = Object(error)
  return (own ?? statusCode) === status
}

/** Koa removes every header field from the response to an error, except those in `error.headers`. */
function withFields(error: unknown, fields: Readonly<Record<string, string>>): unknown {
  if (error instanceof Error && Object.isExtensible(error) && Object.keys(fields).length > 0) {
    const own = 'headers' in error && typeof error.headers === 'object' ? error.headers : undefined
    Object.assign(error, { headers: { ...fields, ...own } })
  }
  return error
}
