import type { Context, MiddlewareHandler } from 'hono'
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
  isCorsField,
  type MiddlewareResult,
} from './core.js'
import { compareRoutes, markAsAjwt, type RouteReport } from './coverage.js'
import { handlersOf, type RouterRoute } from './hono-handlers.js'

export { AjwtDenial, type RouteReport }

/** What `ajwt` leaves on the context: `c.get('ajwt')`. */
export interface AjwtEnv {
  Variables: {
    /** Who calls, and with what right: there once `ajwt` has let the request in with credentials. */
    ajwt: Grant | undefined
  }
}

export interface DenialOptions {
  /**
   * Answers a refusal in the app's own way, or throws, such as the denial itself, for `app.onError`. What it does not
   * answer is answered as usual. Nothing it does lets the request in. The challenge is set already, as by `c.header`.
   */
  onDenied?: (denial: AjwtDenial, c: Context) => Response | undefined | Promise<Response | undefined>
}

export type AjwtOptions = VerifierOptions & DenialOptions

/**
 * Lets in what the policy allows, refuses the rest, and sets the verified grant as `ajwt` on the context. Throws
 * a PolicyError where the policy is wrong.
 */
export function ajwt(
  policy: Policy | Verifier,
  { onDenied, ...options }: AjwtOptions = {},
): MiddlewareHandler<AjwtEnv> {
  const core = createMiddlewareCore(policy, options)
  return markAsAjwt(async function ajwt(c, next) {
    const hadBegun = c.finalized
    // Whatever stood here before was not put there by this middleware.
    c.set('ajwt', undefined)
    const { method, url, headers } = c.req.raw
    const result = await core.pass(c, { method, url, headers, routing: routingOf(c) })
    if (c.finalized && !hadBegun) return
    if (result.kind === 'answer') return answer(result, c, onDenied)
    c.set('ajwt', result.grant)
    await next()
    // Behind the handler: a `Response` that it has made itself knows nothing of what was set before.
    setFields(c, result.headers)
  })
}

/**
 * One more rule, for one handler: applied to a request that `ajwt` has let in, with the parameters of that
 * handler. Throws a PolicyError where the rule is wrong.
 */
export function requireIntent(rule: RouteRule, { onDenied }: DenialOptions = {}): MiddlewareHandler<AjwtEnv> {
  const pass = createRuleMiddleware(rule)
  return async function requireIntent(c, next) {
    const hadBegun = c.finalized
    const result = await pass(c, c.req.param())
    if (c.finalized && !hadBegun) return
    if (result.kind === 'answer') return answer(result, c, onDenied)
    // A rule that is only observed, and does not hold: the handler must not take the grant for its consent.
    if (result.grant === undefined) c.set('ajwt', undefined)
    return next()
  }
}

/**
 * What `requireIntent` does, without an answer: the denial, or undefined where the rule holds or is only observed.
 * For GraphQL resolvers, procedures and sockets. Default of `params`: those of the handler. Rejects with a PolicyError
 * where the rule is wrong.
 */
export async function checkIntent(
  c: Context,
  rule: RouteRule,
  params: unknown = c.req.param(),
): Promise<AjwtDenial | undefined> {
  return checkRequest(c, rule, params)
}

/**
 * Compares the handlers of an app with the keys of a policy: `uncovered` handlers have no key, `unanswered` keys have no
 * handler, and handlers in `beforeMiddleware` are reached without passing `ajwt`. For a test, or at start, when every route
 * is registered. Functions that take `next` count as middleware where they stand for every method. Rejects with a PolicyError if the policy is wrong.
 */
export async function verifyRoutes(
  app: { readonly routes: readonly RouterRoute[] },
  policy: Policy | Verifier,
): Promise<RouteReport> {
  return compareRoutes(policy, handlersOf(app.routes), { byPattern: false, caseSensitive: true })
}

/** Hono decodes a path before it looks its handler up, and folds nothing; `strict: false` it has done by now. */
function routingOf(c: Context): Routing {
  // It answers HEAD by the handler of GET, and by no other.
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
    // Whatever is not an answer must not be taken for "go on".
    if (isResponse(own)) return own.status === status ? withMissing(own, headers) : own
  }
  return refusal(c, status, headers, body)
}

/** The answer with the fields that the middleware in front has set, such as a request id: its own fields win. */
function refusal(
  c: Context,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string,
): Response {
  // `newResponse` takes over what was set so far, by `c.header` or on `c.res`.
  const response = c.newResponse(body === '' ? null : body, { status: status as 200 })
  for (const [name, value] of Object.entries(headers)) {
    // What a CORS helper in front has set is the app's own word on who may read.
    if (!(isCorsField(name) && response.headers.has(name))) response.headers.set(name, value)
  }
  // Hono would let a field on the earlier `c.res` win over the same field of the refusal.
  c.res = undefined
  c.res = response
  return response
}

/** Also what another `Response` than the global one has made, such as `fetch` under `@hono/node-server`. */
function isResponse(value: unknown): value is Response {
  return value instanceof Response || Object.prototype.toString.call(value) === '[object Response]'
}

/** An answer of the app's own, with the challenge where it is a raw `Response` without one. */
function withMissing(own: Response, headers: Readonly<Record<string, string>>): Response {
  const missing = Object.entries(headers).filter(
    ([name]) => name !== 'content-type' && !own.headers.has(name),
  )
  if (missing.length === 0) return own
  const copy = new Response(own.body, own)
  for (const [name, value] of missing) copy.headers.set(name, value)
  return copy
}

/** Sets fields on whatever `Response` the request is answered with. */
function setFields(c: Context, headers: Readonly<Record<string, string>>): void {
  const fields = Object.entries(headers)
  if (fields.length === 0) return
  try {
    if (c.finalized) {
      for (const [name, value] of fields) c.res.headers.set(name, value)
      return
    }
  } catch {
    // Made by `fetch`, its fields cannot be changed. A switch of protocols (101) has no copy, and no use for them.
    if (c.res.status < 200) return
  }
  // Hono makes a copy.
  for (const [name, value] of fields) c.header(name, value)
}
