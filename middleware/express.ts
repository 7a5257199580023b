import type { Application, NextFunction, Request, RequestHandler, Response, Router } from 'express'
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
  type Answer,
  checkRequest,
  createHostRefusal,
  createMiddlewareCore,
  createRuleMiddleware,
  fieldsOf,
  isCorsField,
  type MiddlewareResult,
} from './core.js'
import { compareRoutes, markAsAjwt, type RouteReport } from './coverage.js'
import { handlersOf } from './express-handlers.js'

export { AjwtDenial, type RouteReport }

declare global {
  namespace Express {
    interface Request {
      /** Who calls, and with what right: there once `ajwt` has let the request in with credentials. */
      ajwt?: Grant
    }
  }
}

export interface DenialOptions {
  /**
   * Answers a refusal in the app's own way. Status and header fields are set already; what it does not answer is
   * answered as usual when it returns, or when its promise settles. `next` takes an error, such as the denial itself,
   * for the app's error handlers, and nothing else: no call of it lets the request in.
   */
  onDenied?: (denial: AjwtDenial, req: Request, res: Response, next: (error: unknown) => void) => unknown
}

export type AjwtOptions = VerifierOptions & DenialOptions

/**
 * Lets in what the policy allows, refuses the rest, and puts the verified grant on `req.ajwt`. Throws a
 * PolicyError where the policy is wrong.
 */
export function ajwt(policy: Policy | Verifier, { onDenied, ...options }: AjwtOptions = {}): RequestHandler {
  const core = createMiddlewareCore(policy, options)
  const refuseHost = createHostRefusal('ajwt/express', 'Express 4 or 5')
  return markAsAjwt(async function ajwt(req, res, next) {
    // Express 4 does not catch a rejection, which would end the process.
    try {
      const hadBegun = res.headersSent
      if (!isExpress(req, res)) return answerElsewhere(res, refuseHost())
      // Whatever stood here before was not put there by this middleware.
      delete req.ajwt
      const result = await core.pass(req, {
        method: wireMethod(req),
        url: req.originalUrl,
        headers: fieldsOf(req),
        routing: routingOf(req),
      })
      if (isAnsweredMeanwhile(res, hadBegun)) return
      if (result.kind === 'answer') return await answer(result, req, res, next, onDenied)
      if (result.grant !== undefined) req.ajwt = result.grant
      if (!hadBegun) setHeaders(res, result.headers)
      next()
    } catch (error) {
      next(error)
    }
  })
}

/**
 * One more rule, for one handler: applied to a request that `ajwt` has let in, with the parameters of that
 * handler. Throws a PolicyError where the rule is wrong.
 */
export function requireIntent(rule: RouteRule, { onDenied }: DenialOptions = {}): RequestHandler {
  const pass = createRuleMiddleware(rule)
  const refuseHost = createHostRefusal('ajwt/express', 'Express 4 or 5')
  return async function requireIntent(req, res, next) {
    try {
      const hadBegun = res.headersSent
      if (!isExpress(req, res)) return answerElsewhere(res, refuseHost())
      const result = await pass(req, req.params)
      if (isAnsweredMeanwhile(res, hadBegun)) return
      if (result.kind === 'answer') return await answer(result, req, res, next, onDenied)
      // A rule that is only observed, and does not hold: the handler must not take the grant for its consent.
      if (result.grant === undefined) delete req.ajwt
      next()
    } catch (error) {
      next(error)
    }
  }
}

/**
 * What `requireIntent` does, without an answer: the denial, or undefined where the rule holds or is only observed.
 * For GraphQL resolvers, procedures and sockets. Default of `params`: those of the handler. Rejects with a PolicyError
 * where the rule is wrong.
 */
export async function checkIntent(
  req: Request,
  rule: RouteRule,
  params: Readonly<Record<string, unknown>> = req.params,
): Promise<AjwtDenial | undefined> {
  return checkRequest(req, rule, params)
}

/**
 * Compares the handlers of an app with the keys of a policy: `uncovered` handlers have no key, `unanswered` keys have no
 * handler, and handlers in `beforeMiddleware` are reached without passing `ajwt`. For a test, or at start, when every route
 * is registered. Functions given to `app.use` count as middleware. Rejects with a PolicyError if the policy is wrong.
 */
export async function verifyRoutes(
  app: Application | Router,
  policy: Policy | Verifier,
): Promise<RouteReport> {
  return compareRoutes(policy, handlersOf(app), { byPattern: false, caseSensitive: false })
}

/** Express looks a handler up by `url`, whose mounted part is in `baseUrl`, and folds case unless told not to. */
function routingOf(req: Request): Routing {
  return {
    path: pathFromRoot(req),
    method: req.method,
    caseSensitive: req.app.enabled('case sensitive routing'),
    strict: req.app.enabled('strict routing'),
    wildcardMatchesEmpty: false,
  }
}

/** Express adds a slash to a mounted path that is nothing but its mount. */
function pathFromRoot(req: Request): string {
  const isAdded = req.baseUrl !== '' && req.path === '/' && !/^[^?]*\/(\?|$)/.test(req.originalUrl)
  return req.baseUrl + (isAdded ? '' : req.path)
}

/** The method-override package keeps the method of the wire, which is the one that a proof is made for. */
function wireMethod(req: Request): string {
  return 'originalMethod' in req && typeof req.originalMethod === 'string' ? req.originalMethod : req.method
}

/** Connect, and hosts that run its middleware, hand over Node's own objects: how they route is not known here. */
function isExpress(req: Partial<Request>, res: Partial<Response>): boolean {
  return typeof req.app?.enabled === 'function' && typeof res.status === 'function'
}

function answerElsewhere(res: Response, { status, headers, body }: Answer): void {
  if (res.headersSent) return
  res.statusCode = status
  setHeaders(res, headers)
  res.end(body)
}

/** Something else may answer while the verifier waits, as a timeout does: then there is nothing left to do. */
function isAnsweredMeanwhile(res: Response, hadBegun: boolean): boolean {
  return res.headersSent && !hadBegun
}

async function answer(
  { answer: { status, headers, body }, denial }: Extract<MiddlewareResult, { kind: 'answer' }>,
  req: Request,
  res: Response,
  next: NextFunction,
  onDenied: DenialOptions['onDenied'],
): Promise<void> {
  // Begun before this middleware ran: it can only be ended.
  if (res.headersSent) return void res.end()
  res.status(status)
  setHeaders(res, headers)
  if (denial !== undefined && onDenied !== undefined) {
    // The type is of this middleware's own body: an answer of the app has its own.
    res.removeHeader('content-type')
    let failure: unknown
    try {
      await onDenied(new AjwtDenial(denial), req, res, (error) => {
        failure = error
      })
    } catch (error) {
      failure = error
    }
    // To Express, these words are no error: they skip to whatever stands behind this middleware.
    if (failure === 'route' || failure === 'router') failure = undefined
    if (failure) return next(failure)
    if (res.headersSent) return
    setHeaders(res, { 'content-type': headers['content-type'] ?? 'application/json' })
  }
  res.end(body)
}

/** Node's own setter: Express would add a charset, which JSON has none of. */
function setHeaders(res: Response, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    // What a CORS helper in front has set is the app's own word on who may read.
    if (!(isCorsField(name) && res.hasHeader(name))) res.setHeader(name, value)
  }
}
