import type { Context, MiddlewareHandler } from 'hono'
import { createGate, createRuleGate, type Passage } from '../src/gate.js'
import type { Grant, Policy, RouteRule, Routing, Verifier, VerifierOptions } from '../src/index.js'

/** What `ajwt` leaves on the context: `c.get('ajwt')`. */
export interface AjwtEnv {
  Variables: {
    /** Who calls, and with what right: there once `ajwt` has let the request in with credentials. */
    ajwt: Grant | undefined
  }
}

/**
 * Lets in what the policy allows, refuses the rest, and sets the verified grant as `ajwt` on the context. Throws
 * a PolicyError where the policy is wrong.
 */
export function ajwt(policy: Policy | Verifier, options?: VerifierOptions): MiddlewareHandler<AjwtEnv> {
  const gate = createGate(policy, options)
  return async function ajwt(c, next) {
    // Whatever stood here before was not put there by this middleware.
    c.set('ajwt', undefined)
    const { method, url, headers } = c.req.raw
    const passage = await gate.pass(c.req.raw, { method, url, headers, routing: routingOf(c) })
    if (passage.kind === 'answer') return toResponse(passage)
    c.set('ajwt', passage.grant)
    for (const [name, value] of Object.entries(passage.headers)) c.header(name, value)
    return next()
  }
}

/**
 * One more rule, for one handler: applied to a request that `ajwt` has let in, with the parameters of that
 * handler. Throws a PolicyError where the rule is wrong.
 */
export function requireIntent(rule: RouteRule): MiddlewareHandler<AjwtEnv> {
  const pass = createRuleGate(rule)
  return async function requireIntent(c, next) {
    const passage = await pass(c.req.raw, c.req.param())
    if (passage.kind === 'answer') return toResponse(passage)
    return next()
  }
}

/** Hono decodes a path before it looks its handler up, and folds nothing; `strict: false` it has done by now. */
function routingOf(c: Context): Routing {
  return { path: c.req.path, decoded: true, caseSensitive: true, strict: true, emptyRest: true }
}

function toResponse({ answer }: Extract<Passage, { kind: 'answer' }>): Response {
  return new Response(answer.body, { status: answer.status, headers: answer.headers })
}
