import type { Request, RequestHandler, Response } from 'express'
import { createGate, createRuleGate, type Passage } from '../src/gate.js'
import type { Grant, Policy, RouteRule, Routing, Verifier, VerifierOptions } from '../src/index.js'

declare global {
  namespace Express {
    interface Request {
      /** Who calls, and with what right: there once `ajwt` has let the request in with credentials. */
      ajwt?: Grant
    }
  }
}

/**
 * Lets in what the policy allows, refuses the rest, and puts the verified grant on `req.ajwt`. Throws a
 * PolicyError where the policy is wrong.
 */
export function ajwt(policy: Policy | Verifier, options?: VerifierOptions): RequestHandler {
  const gate = createGate(policy, options)
  return async function ajwt(req, res, next) {
    // Whatever stood here before was not put there by this middleware.
    delete req.ajwt
    const passage = await gate.pass(req, {
      method: wireMethod(req),
      url: req.originalUrl,
      headers: req.headersDistinct,
      routing: routingOf(req),
    })
    if (passage.kind === 'answer') return send(res, passage)
    if (passage.grant !== undefined) req.ajwt = passage.grant
    res.set(passage.headers)
    next()
  }
}

/**
 * One more rule, for one handler: applied to a request that `ajwt` has let in, with the parameters of that
 * handler. Throws a PolicyError where the rule is wrong.
 */
export function requireIntent(rule: RouteRule): RequestHandler {
  const pass = createRuleGate(rule)
  return async function requireIntent(req, res, next) {
    const passage = await pass(req, req.params)
    if (passage.kind === 'answer') return send(res, passage)
    next()
  }
}

/** Express looks a handler up by `url`, whose mounted part is in `baseUrl`, and folds case unless told not to. */
function routingOf(req: Request): Routing {
  return {
    path: req.baseUrl + (req.baseUrl !== '' && req.path === '/' ? '' : req.path),
    method: req.method,
    caseSensitive: req.app.enabled('case sensitive routing'),
    strict: req.app.enabled('strict routing'),
    emptyRest: false,
  }
}

/** The method-override package keeps the method of the wire, which is the one that a proof is made for. */
function wireMethod(req: Request): string {
  const { originalMethod } = req as { originalMethod?: unknown }
  return typeof originalMethod === 'string' ? originalMethod : req.method
}

function send(res: Response, { answer }: Extract<Passage, { kind: 'answer' }>): void {
  res.status(answer.status).set(answer.headers).end(answer.body)
}
