import type { NextFunction, Request, RequestHandler, Response } from 'express'
import { createGate, createRuleGate, fieldsOf, type Passage } from '../src/gate.js'
import type { Denial, Grant, Policy, RouteRule, Routing, Verifier, VerifierOptions } from '../src/index.js'

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
   * answered as usual when it returns, or when its promise settles. `next` takes an error, for the app's error
   * handlers, and nothing else: no call of it lets the request in.
   */
  onDenied?: (denial: Denial, req: Request, res: Response, next: (error: unknown) => void) => unknown
}

export type AjwtOptions = VerifierOptions & DenialOptions

/**
 * Lets in what the policy allows, refuses the rest, and puts the verified grant on `req.ajwt`. Throws a
 * PolicyError where the policy is wrong.
 */
export function ajwt(policy: Policy | Verifier, { onDenied, ...options }: AjwtOptions = {}): RequestHandler {
  const gate = createGate(policy, options)
  return async function ajwt(req, res, next) {
    // Whatever stood here before was not put there by this middleware.
    delete req.ajwt
    const passage = await gate.pass(req, {
      method: wireMethod(req),
      url: req.originalUrl,
      headers: fieldsOf(req),
      routing: routingOf(req),
    })
    if (passage.kind === 'answer') return answer(passage, req, res, next, onDenied)
    if (passage.grant !== undefined) req.ajwt = passage.grant
    setHeaders(res, passage.headers)
    next()
  }
}

/**
 * One more rule, for one handler: applied to a request that `ajwt` has let in, with the parameters of that
 * handler. Throws a PolicyError where the rule is wrong.
 */
export function requireIntent(rule: RouteRule, { onDenied }: DenialOptions = {}): RequestHandler {
  const pass = createRuleGate(rule)
  return async function requireIntent(req, res, next) {
    const passage = await pass(req, req.params)
    if (passage.kind === 'answer') return answer(passage, req, res, next, onDenied)
    // A rule that is only observed, and does not hold: the handler must not take the grant for its consent.
    if (passage.grant === undefined) delete req.ajwt
    next()
  }
}

/** Express looks a handler up by `url`, whose mounted part is in `baseUrl`, and folds case unless told not to. */
function routingOf(req: Request): Routing {
  return {
    path: pathFromRoot(req),
    method: req.method,
    caseSensitive: req.app.enabled('case sensitive routing'),
    strict: req.app.enabled('strict routing'),
    emptyRest: false,
  }
}

/** Express adds a slash to a mounted path that is nothing but its mount. */
function pathFromRoot(req: Request): string {
  const isAdded = req.baseUrl !== '' && req.path === '/' && !/^[^?]*\/(\?|$)/.test(req.originalUrl)
  return req.baseUrl + (isAdded ? '' : req.path)
}

/** The method-override package keeps the method of the wire, which is the one that a proof is made for. */
function wireMethod(req: Request): string {
  const { originalMethod } = req as { originalMethod?: unknown }
  return typeof originalMethod === 'string' ? originalMethod : req.method
}

async function answer(
  { answer: { status, headers, body }, denial }: Extract<Passage, { kind: 'answer' }>,
  req: Request,
  res: Response,
  next: NextFunction,
  onDenied: DenialOptions['onDenied'],
): Promise<void> {
  res.status(status)
  setHeaders(res, headers)
  if (denial !== undefined && onDenied !== undefined) {
    let failure: unknown
    try {
      await onDenied(denial, req, res, (error) => {
        failure = error
      })
    } catch (error) {
      failure = error
    }
    // To Express, these words are no error: they skip to whatever stands behind this middleware.
    if (failure === 'route' || failure === 'router') failure = undefined
    if (failure) return next(failure)
    if (res.headersSent) return
  }
  res.end(body)
}

/** Node's own setter: Express would add a charset, which JSON has none of. */
function setHeaders(res: Response, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
}
