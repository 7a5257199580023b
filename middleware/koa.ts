import type { Context, Middleware } from 'koa'
import {
  AjwtDenial,
  type Grant,
  type Policy,
  type RouteRule,
  type Routing,
  type Verifier,
  type VerifierOptions,
} from '../src/index.js'
import {
  checkRequest,
  createMiddlewareCore,
  createRuleMiddleware,
  fieldsOf,
  isCorsField,
  type MiddlewareResult,
} from './core.js'
import { compareRoutes, markAsAjwt, type RouteReport } from './coverage.js'
import { handlersOf } from './koa-handlers.js'

export { AjwtDenial, type RouteReport }

/** What `ajwt` leaves on `ctx.state`. */
export interface AjwtState {
  /** Who calls, and with what right: there once `ajwt` has let the request in with credentials. */
  ajwt?: Grant
}

export interface DenialOptions {
  /**
   * Answers a refusal in the app's own way, or throws, such as the denial itself, for the app's error handling. Status,
   * header fields and body are set already, and stand where it leaves them. Nothing it does lets the request in.
   */
  onDenied?: (denial: AjwtDenial, ctx: Context) => unknown
}

export type AjwtOptions = VerifierOptions & DenialOptions

/**
 * Lets in what the policy allows, refuses the rest, and puts the verified grant on `ctx.state.ajwt`. Throws a
 * PolicyError where the policy is wrong.
 */
export function ajwt(
  policy: Policy | Verifier,
  { onDenied, ...options }: AjwtOptions = {},
): Middleware<AjwtState> {
  const core = createMiddlewareCore(policy, options)
  return markAsAjwt(async function ajwt(ctx, next) {
    const hadBegun = hasBegun(ctx)
    // Whatever stood here before was not put there by this middleware.
    delete ctx.state.ajwt
    const result = await core.pass(ctx.req, {
      method: wireMethod(ctx),
      url: ctx.originalUrl,
      headers: fieldsOf(ctx.req),
      routing: routingOf(ctx),
    })
    if (hasBegun(ctx) && !hadBegun) return
    if (result.kind === 'answer') return answer(result, ctx, onDenied)
    if (result.grant !== undefined) ctx.state.ajwt = result.grant
    ctx.set(result.headers)
    try {
      await next()
    } catch (error) {
      throw withFields(error, result.headers)
    }
  })
}

/**
 * One more rule, for one handler: applied to a request that `ajwt` has let in, with the parameters of that
 * handler. Throws a PolicyError where the rule is wrong.
 */
export function requireIntent(rule: RouteRule, { onDenied }: DenialOptions = {}): Middleware<AjwtState> {
  const pass = createRuleMiddleware(rule)
  return async function requireIntent(ctx, next) {
    const hadBegun = hasBegun(ctx)
    const result = await pass(ctx.req, paramsOf(ctx))
    if (hasBegun(ctx) && !hadBegun) return
    if (result.kind === 'answer') return answer(result, ctx, onDenied)
    // A rule that is only observed, and does not hold: the handler must not take the grant for its consent.
    if (result.grant === undefined) delete ctx.state.ajwt
    await next()
  }
}

/**
 * What `requireIntent` does, without an answer: the denial, or undefined where the rule holds or is only observed.
 * For GraphQL resolvers, procedures and sockets. Default of `params`: those of the handler. Rejects with a PolicyError
 * where the rule is wrong.
 */
export async function checkIntent(
  ctx: Context,
  rule: RouteRule,
  params: unknown = paramsOf(ctx),
): Promise<AjwtDenial | undefined> {
  return checkRequest(ctx.req, rule, params)
}

/** Of @koa/router. */
function paramsOf(ctx: object): unknown {
  return 'params' in ctx ? ctx.params : undefined
}

/**
 * Compares the handlers of an app with the keys of a policy: `uncovered` handlers have no key, `unanswered` keys have no
 * handler, and handlers in `beforeMiddleware` are reached without passing `ajwt`. For a test, or at start, when every route
 * is registered. Reads the routers of `@koa/router` that the app uses, or one router alone. Rejects with a PolicyError if the policy is wrong.
 */
export async function verifyRoutes(
  app: { readonly middleware: readonly object[] } | { readonly stack: readonly object[] },
  policy: Policy | Verifier,
): Promise<RouteReport> {
  return compareRoutes(policy, handlersOf(app), { byPattern: false, caseSensitive: false })
}

/**
 * @koa/router looks a handler up by `newRouterPath`, where somebody has set that, else by `path`, of which
 * koa-mount has taken the mounted part off.
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
  // Anything else has rewritten the path on the way: then nobody knows here what the app's root would call it.
  return prefix + rest === path && prefix.endsWith(mountPath.replace(/\/$/, '')) ? path : ''
}

/** Method overrides keep the method of the wire, which is the one that a proof is made for. */
function wireMethod(ctx: Context): string {
  const { req } = ctx
  return 'originalMethod' in req && typeof req.originalMethod === 'string' ? req.originalMethod : ctx.method
}

/** Something else has answered, or has said that it will, past Koa. While the verifier waits, a timeout may. */
function hasBegun(ctx: Context): boolean {
  return ctx.headerSent || ctx.respond === false
}

async function answer(
  { answer: { status, headers, body }, denial }: Extract<MiddlewareResult, { kind: 'answer' }>,
  ctx: Context,
  onDenied: DenialOptions['onDenied'],
): Promise<void> {
  // Begun before this middleware ran: it can only be ended.
  if (ctx.headerSent) return void ctx.res.end()
  ctx.status = status
  setFields(ctx, headers)
  ctx.body = body
  if (denial !== undefined && onDenied !== undefined) {
    // The type is of this middleware's own body: an answer of the app has its own.
    ctx.remove('content-type')
    try {
      await onDenied(new AjwtDenial(denial), ctx)
    } catch (error) {
      throw isOfStatus(error, status) ? withFields(error, headers) : error
    }
  }
  if (ctx.body === body && !ctx.res.hasHeader('content-type')) ctx.set('content-type', 'application/json')
  // Koa sends nothing where something in front has said that it answers past Koa.
  if (ctx.respond === false && !ctx.headerSent) ctx.res.end(body)
}

function setFields(ctx: Context, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    // What a CORS helper in front has set is the app's own word on who may read.
    if (!(isCorsField(name) && ctx.res.hasHeader(name))) ctx.set(name, value)
  }
}

/** An error that is answered as the denial would have been. */
function isOfStatus(error: unknown, status: number): boolean {
  const { status: own, statusCode }: { status?: unknown; statusCode?: unknown } = Object(error)
  return (own ?? statusCode) === status
}

/** Koa takes every field off the response to an error, but for those that the error has. */
function withFields(error: unknown, fields: Readonly<Record<string, string>>): unknown {
  if (error instanceof Error && Object.isExtensible(error) && Object.keys(fields).length > 0) {
    const own = 'headers' in error && typeof error.headers === 'object' ? error.headers : undefined
    Object.assign(error, { headers: { ...fields, ...own } })
  }
  return error
}
