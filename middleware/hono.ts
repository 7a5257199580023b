import type { Context, MiddlewareHandler } from 'hono'
import { createGate, createRuleGate, type Passage } from '../src/gate.js'
import type { Denial, Grant, Policy, RouteRule, Routing, Verifier, VerifierOptions } from '../src/index.js'

/** What `ajwt` leaves on the context: `c.get('ajwt')`. */
export interface AjwtEnv {
  Variables: {
    /** Who calls, and with what right: there once `ajwt` has let the request in with credentials. */
    ajwt: Grant | undefined
  }
}

export interface DenialOptions {
  /**
   * Answers a refusal in the app's own way, or throws, for `app.onError`. What it does not answer is answered as
   * usual. Nothing it does lets the request in.
   */
  onDenied?: (denial: Denial, c: Context) => Response | undefined | Promise<Response | undefined>
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
  const gate = createGate(policy, options)
  return async function ajwt(c, next) {
    // Whatever stood here before was not put there by this middleware.
    c.set('ajwt', undefined)
    const { method, url, headers } = c.req.raw
    const passage = await gate.pass(c, { method, url, headers, routing: routingOf(c) })
    if (passage.kind === 'answer') return answer(passage, c, onDenied)
    c.set('ajwt', passage.grant)
    for (const [name, value] of Object.entries(passage.headers)) c.header(name, value)
    return next()
  }
}

/**
 * One more rule, for one handler: applied to a request that `ajwt` has let in, with the parameters of that
 * handler. Throws a PolicyError where the rule is wrong.
 */
export function requireIntent(rule: RouteRule, { onDenied }: DenialOptions = {}): MiddlewareHandler<AjwtEnv> {
  const pass = createRuleGate(rule)
  return async function requireIntent(c, next) {
    const passage = await pass(c, c.req.param())
    if (passage.kind === 'answer') return answer(passage, c, onDenied)
    return next()
  }
}

/** Hono decodes a path before it looks its handler up, and folds nothing; `strict: false` it has done by now. */
function routingOf(c: Context): Routing {
  // It answers HEAD by the handler of GET, and by no other.
  const method = c.req.method === 'HEAD' ? 'GET' : c.req.method
  return { path: c.req.path, decoded: true, method, caseSensitive: true, strict: true, emptyRest: true }
}

async function answer(
  { answer: { status, headers, body }, denial }: Extract<Passage, { kind: 'answer' }>,
  c: Context,
  onDenied: DenialOptions['onDenied'],
): Promise<Response> {
  const own = denial && (await onDenied?.(denial, c))
  // Whatever is not an answer must not be taken for "go on".
  return own instanceof Response ? own : new Response(body, { status, headers })
}
