import type { Application, NextFunction, Request, RequestHandler, Response, Router } from 'express'
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
  type Answer,
  checkRequest,
  createHostRefusal,
  createMiddlewareCore,
  createRuleMiddleware,
  fieldsOf,
  isCorsField,
  type MiddlewareResult,
  signalOf,
} from './core.js'
import { compareRoutes, markAsAjwt, type RouteReport } from './coverage.js'
import { handlersOf } from './express-handlers.js'
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

declare global {
  namespace Express {
    interface Request {
      /** The verified grant. Undefined if `ajwt` allowed the request without credentials. */
      ajwt?: Grant
    }
  }
}

export interface DenialOptions {
  /**
   * Sends the app's own response to a denial. Status and header fields are already set. If it sends nothing,
   * the default response is sent when it returns or its promise settles. `next` passes an error, such as the
   * denial, to the app's error handlers. No call of `next` allows the request.
   */
  onDenied?: (denial: AjwtDenial, req: Request, res: Response, next: (error: unknown) => void) => unknown
}

export type AjwtOptions = VerifierOptions & DenialOptions

export type ToolOptions = DenialOptions & DecideMessageOptions

export type ProtectMcpOptions = DenialOptions & McpOptions

/**
 * Allows the requests that the policy allows, denies all others, and sets `req.ajwt` to the verified grant.
 * Throws a PolicyError if the policy is invalid.
 */
export function ajwt(policy: Policy | Verifier, { onDenied, ...options }: AjwtOptions = {}): RequestHandler {
  const core = createMiddlewareCore(policy, options)
  const refuseHost = createHostRefusal('ajwt/express', 'Express 4 or 5')
  return markAsAjwt(async function ajwt(req, res, next) {
    // Express 4 does not catch a rejection, which would end the process.
    try {
      const hadBegun = res.headersSent
      if (!isExpress(req, res)) return answerElsewhere(res, refuseHost())
      // An earlier value was not set by this middleware.
      delete req.ajwt
      const result = await core.pass(req, requestOf(req, res))
      if (isAnsweredMeanwhile(res, hadBegun)) return
      if (result.kind === 'answer') return await answer(result, req, res, next, onDenied)
      if (result.grant !== undefined) req.ajwt = result.grant
      prepareResponse(res, result, hadBegun)
      next()
    } catch (error) {
      next(error)
    }
  })
}

/**
 * Applies one more rule, for one handler, to a request that `ajwt` has allowed. `param` in the rule refers to
 * the parameters of that handler. Throws a PolicyError if the rule is invalid.
 */
export function requireIntent(rule: HandlerRule<Request>, { onDenied }: DenialOptions = {}): RequestHandler {
  const pass = createRuleMiddleware(rule)
  return ruleHandler('requireIntent', onDenied, (req) => pass(req, req.params, req, contentOf(req)))
}

/** A handler that lets the request continue where its rule is met. */
function ruleHandler(
  name: string,
  onDenied: DenialOptions['onDenied'],
  pass: (req: Request) => Promise<MiddlewareResult>,
): RequestHandler {
  const refuseHost = createHostRefusal('ajwt/express', 'Express 4 or 5')
  const handler: RequestHandler = async (req, res, next) => {
    try {
      const hadBegun = res.headersSent
      if (!isExpress(req, res)) return answerElsewhere(res, refuseHost())
      const result = await pass(req)
      if (isAnsweredMeanwhile(res, hadBegun)) return
      if (result.kind === 'answer') return await answer(result, req, res, next, onDenied)
      // The rule is only observed and was not met: a grant would tell the handler that it was.
      if (result.grant === undefined) delete req.ajwt
      prepareResponse(res, result, hadBegun)
      next()
    } catch (error) {
      next(error)
    }
  }
  return Object.defineProperty(handler, 'name', { value: name })
}

/**
 * Checks the JSON-RPC message of a request to an MCP server by the rules of its tool, prompt, resource or
 * method. Mount it behind `ajwt` and behind the JSON parser, in front of the handler of the MCP SDK. Throws a
 * PolicyError if the rules are invalid.
 */
export function requireToolIntent(
  rules: McpRules,
  { onDenied, ...options }: ToolOptions = {},
): RequestHandler {
  const check = createToolMiddleware(rules, options)
  return ruleHandler('requireToolIntent', onDenied, (req) =>
    check({ source: req, headers: req.headers, body: req.body }),
  )
}

/**
 * Protects an MCP server: `ajwt`, `bindSessions`, `endWithToken` and `requireToolIntent` in one middleware.
 * Sets `req.auth` for the MCP SDK. Mount it on the app, behind the JSON parser and in front of the handler of
 * the MCP SDK. Requests to other paths pass `ajwt` alone. Throws a PolicyError if policy, rules or options
 * are invalid.
 */
export function protectMcp(
  policy: McpPolicy | Verifier,
  rules: McpRules,
  { onDenied, ...options }: ProtectMcpOptions = {},
): RequestHandler {
  const denialOptions = onDenied === undefined ? {} : { onDenied }
  const { verifier, isMcp, middleware, toolOptions } = createMcpProtection(policy, options)
  const authenticate = ajwt(verifier, denialOptions)
  const checks: RequestHandler[] = [
    ...middleware,
    requireToolIntent(rules, { ...toolOptions, ...denialOptions }),
    (req, _res, next) => {
      Object.assign(req, { auth: authOf(req.ajwt) })
      next()
    },
  ]
  return markAsAjwt(function protectMcp(req, res, next) {
    return authenticate(req, res, (error?: unknown) => {
      if (error !== undefined) return next(error)
      isMcp(req).then((isForMcp) => runAll(isForMcp ? checks : [], req, res, next), next)
    })
  })
}

/** Runs handlers one after the other. */
function runAll(
  [first, ...rest]: readonly RequestHandler[],
  req: Request,
  res: Response,
  next: NextFunction,
): void {
  if (first === undefined) return void next()
  first(req, res, (error?: unknown) => {
    if (error !== undefined) next(error)
    else runAll(rest, req, res, next)
  })
}

/**
 * Checks a rule as `requireIntent` does, without a response, for GraphQL resolvers, procedures and sockets.
 * Resolves to the denial, or to undefined if the rule is met or only observed. Default of `params`: those of
 * the handler. Rejects with a PolicyError if the rule is invalid.
 */
export async function checkIntent(
  req: Request,
  rule: HandlerRule<Request>,
  params: Readonly<Record<string, unknown>> = req.params,
): Promise<AjwtDenial | undefined> {
  return checkRequest(req, rule, params, req, contentOf(req))
}

/**
 * Compares the handlers of an app with the keys of a policy: `uncovered` handlers have no key, `unanswered`
 * keys have no handler, and handlers in `beforeMiddleware` are reached without passing `ajwt`. Call it in a
 * test, or at start after every route is registered. Functions of `app.use` that take `next` count as
 * middleware. Rejects with a PolicyError if the policy is invalid, and with an Error if the router of Express
 * 5 is older than 2.3.
 */
export async function verifyRoutes(
  app: Application | Router,
  policy: Policy | Verifier,
): Promise<RouteReport> {
  return compareRoutes(policy, handlersOf(app), { byPattern: false, caseSensitive: false })
}

/** The query that `req.query` is made of, and the body as the parsers have left it. */
function contentOf(req: Request): RequestContent {
  const { url, headers, body } = req
  const keptIn = 'req.rawBody, set in the option verify of express.json'
  return contentOfParsed({ url, headers, body, keepers: [req], keptIn })
}

function requestOf(req: Request, res: Response): AdapterRequest {
  return new AdapterRequest(
    {
      method: wireMethod(req),
      url: req.originalUrl,
      headers: fieldsOf(req),
      routing: routingOf(req),
    },
    () => signalOf(res),
  )
}

/** Express routes by `url`, moves the mount path to `baseUrl`, and ignores letter case by default. */
function routingOf(req: Request): Routing {
  return {
    path: pathFromRoot(req),
    method: req.method,
    caseSensitive: req.app.enabled('case sensitive routing'),
    strict: req.app.enabled('strict routing'),
    wildcardMatchesEmpty: false,
  }
}

/** Express adds a slash to a path that equals its mount path. */
function pathFromRoot(req: Request): string {
  const isAdded = req.baseUrl !== '' && req.path === '/' && !/^[^?]*\/(\?|$)/.test(req.originalUrl)
  return req.baseUrl + (isAdded ? '' : req.path)
}

/** The method-override package keeps the original method. A proof is made for that one. */
function wireMethod(req: Request): string {
  return 'originalMethod' in req && typeof req.originalMethod === 'string' ? req.originalMethod : req.method
}

/** Connect and hosts of its middleware pass Node's own objects. Their routing is unknown. */
function isExpress(req: Partial<Request>, res: Partial<Response>): boolean {
  return typeof req.app?.enabled === 'function' && typeof res.status === 'function'
}

function answerElsewhere(res: Response, { status, headers, body }: Answer): void {
  if (res.headersSent) return
  res.statusCode = status
  setHeaders(res, headers)
  res.end(body)
}

/** A timeout, for example, may respond while the verifier waits. */
function isAnsweredMeanwhile(res: Response, hadBegun: boolean): boolean {
  return res.headersSent && !hadBegun
}

function prepareResponse(
  res: Response,
  { headers, onResponse }: Extract<MiddlewareResult, { kind: 'continue' }>,
  hadBegun: boolean,
): void {
  if (!hadBegun) setHeaders(res, headers)
  if (onResponse !== undefined) res.once('finish', () => onResponse(res.statusCode))
}

async function answer(
  { answer: { status, headers, body }, denial }: Extract<MiddlewareResult, { kind: 'answer' }>,
  req: Request,
  res: Response,
  next: NextFunction,
  onDenied: DenialOptions['onDenied'],
): Promise<void> {
  // The response was begun before this middleware ran. It can only be ended.
  if (res.headersSent) return void res.end()
  res.status(status)
  setHeaders(res, headers)
  if (denial !== undefined && onDenied !== undefined) {
    // The content type is that of the default body. The app's body has its own.
    res.removeHeader('content-type')
    let failure: unknown
    try {
      await onDenied(new AjwtDenial(denial), req, res, (error) => {
        failure = error
      })
    } catch (error) {
      failure = error
    }
    // Express takes these strings as a command to skip handlers, and would run those after this middleware.
    if (failure === 'route' || failure === 'router') failure = undefined
    if (failure) return next(failure)
    if (res.headersSent) return
    setHeaders(res, { 'content-type': headers['content-type'] ?? 'application/json' })
  }
  res.end(body)
}

/** Node's setter, because Express would add a charset, and JSON has none (RFC 8259 section 11). */
function setHeaders(res: Response, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    // A CORS field that the app has set is the app's decision on who may read.
    if (!(isCorsField(name) && res.hasHeader(name))) res.setHeader(name, value)
  }
}
