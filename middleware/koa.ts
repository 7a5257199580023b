import type { Context, Middleware } from 'koa'
import { createGate, createRuleGate, fieldsOf, type Passage } from '../src/gate.js'
import type { Denial, Grant, Policy, RouteRule, Routing, Verifier, VerifierOptions } from '../src/index.js'

/** What `ajwt` leaves on `ctx.state`. */
export interface AjwtState {
  /** Who calls, and with what right: there once `ajwt` has let the request in with credentials. */
  ajwt?: Grant
}

export interface DenialOptions {
  /**
   * Answers a refusal in the app's own way, or throws, for the app's error handling. Status, header fields and
   * body are set already, and stand where it leaves them. Nothing it does lets the request in.
   */
  onDenied?: (denial: Denial, ctx: Context) => unknown
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
  const gate = createGate(policy, options)
  return async function ajwt(ctx, next) {
    // Whatever stood here before was not put there by this middleware.
    delete ctx.state.ajwt
    const passage = await gate.pass(ctx.req, {
      method: wireMethod(ctx),
      url: ctx.originalUrl,
      headers: fieldsOf(ctx.req),
      routing: routingOf(ctx),
    })
    if (passage.kind === 'answer') return answer(passage, ctx, onDenied)
    if (passage.grant !== undefined) ctx.state.ajwt = passage.grant
    ctx.set(passage.headers)
    await next()
  }
}

/**
 * One more rule, for one handler: applied to a request that `ajwt` has let in, with the parameters of that
 * handler. Throws a PolicyError where the rule is wrong.
 */
export function requireIntent(rule: RouteRule, { onDenied }: DenialOptions = {}): Middleware<AjwtState> {
  const pass = createRuleGate(rule)
  return async function requireIntent(ctx, next) {
    const passage = await pass(ctx.req, (ctx as { params?: unknown }).params)
    if (passage.kind === 'answer') return answer(passage, ctx, onDenied)
    // A rule that is only observed, and does not hold: the handler must not take the grant for its consent.
    if (passage.grant === undefined) delete ctx.state.ajwt
    await next()
  }
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
    emptyRest: false,
  }
}

function pathFromRoot(ctx: Context): string {
  const { mountPath, newRouterPath } = ctx as { mountPath?: unknown; newRouterPath?: unknown }
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
  const { originalMethod } = ctx.req as { originalMethod?: unknown }
  return typeof originalMethod === 'string' ? originalMethod : ctx.method
}

async function answer(
  { answer: { status, headers, body }, denial }: Extract<Passage, { kind: 'answer' }>,
  ctx: Context,
  onDenied: DenialOptions['onDenied'],
): Promise<void> {
  ctx.status = status
  ctx.set(headers)
  ctx.body = body
  if (denial !== undefined) await onDenied?.(denial, ctx)
}
