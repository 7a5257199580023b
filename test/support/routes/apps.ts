import type { RequestListener } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import KoaRouter, { type RouterMiddleware } from '@koa/router'
import express from 'express'
import express4 from 'express4'
import { Hono } from 'hono'
import { methodOverride as honoMethodOverride } from 'hono/method-override'
import Koa from 'koa'
import Koa2 from 'koa2'
import * as forExpress from '../../../middleware/express.js'
import * as forHono from '../../../middleware/hono.js'
import * as forKoa from '../../../middleware/koa.js'
import type { Grant, Policy, Verifier } from '../../../src/index.js'
import { type DeclaredRoute, inOrder, pathOf } from './reference.js'

/** The response of a handler: its key, its parameters and its grant. */
export interface Answer {
  readonly key: string
  readonly params: Readonly<Record<string, string>>
  readonly grant: Pick<Grant, 'route' | 'params'> | null
}

/** Settings of an app. A framework ignores settings that it does not have. */
export interface Setup {
  readonly app: RouterSettings
  /** Settings of a separate router for the handlers. Undefined: the handlers are on the app. */
  readonly router: RouterSettings | undefined
  /** Position of a method override, relative to `ajwt`. */
  readonly override: 'none' | 'before' | 'after'
}

export interface RouterSettings {
  readonly caseSensitive: boolean
  readonly strict: boolean
}

export const plainSetup: Setup = {
  app: { caseSensitive: false, strict: false },
  router: undefined,
  override: 'none',
}

export type Guard = Policy | Verifier | undefined
type BuildApp = (routes: readonly DeclaredRoute[], guard: Guard, setup: Setup) => RequestListener

/** Apps with a handler for each route. Without a guard, the app shows which handler a request reaches. */
export const builders: Readonly<Record<string, BuildApp>> = {
  'Express 5': (routes, guard, setup) => buildExpress(express, '*rest', routes, guard, setup),
  'Express 4': (routes, guard, setup) => buildExpress(express4, '*', routes, guard, setup),
  'Koa 3': (routes, guard, setup) => buildKoa(new Koa(), routes, guard, setup),
  'Koa 2': (routes, guard, setup) => buildKoa(new Koa2(), routes, guard, setup),
  'Hono 4': buildHono,
}

/** The response header with the answer of a handler. Unlike a body, it is also sent for HEAD. */
export const answerField = 'x-answer'

export function toField(answer: Answer): string {
  return encodeURIComponent(JSON.stringify(answer))
}

export function fromField(field: string | undefined): Answer | undefined {
  return field === undefined ? undefined : JSON.parse(decodeURIComponent(field))
}

export function answerOf(
  route: DeclaredRoute,
  params: Readonly<Record<string, unknown>>,
  grant: Grant | undefined,
): Answer {
  // Without the value of a `*`: routers name it differently, and policies do not name it.
  const names = route.segments.filter((text) => text.startsWith(':')).map((text) => text.slice(1))
  return {
    key: route.key,
    params: Object.fromEntries(names.map((name) => [name, String(params[name])])),
    grant: grant === undefined ? null : { route: grant.route, params: grant.params },
  }
}

function buildExpress(
  framework: typeof express,
  rest: string,
  routes: readonly DeclaredRoute[],
  guard: Guard,
  setup: Setup,
): RequestListener {
  const app = framework()
  app.set('case sensitive routing', setup.app.caseSensitive)
  app.set('strict routing', setup.app.strict)
  if (setup.override === 'before') app.use(overrideExpressMethod)
  if (guard !== undefined) app.use(forExpress.ajwt(guard))
  if (setup.override === 'after') app.use(overrideExpressMethod)
  const router = setup.router === undefined ? app : framework.Router(setup.router)
  if (router !== app) app.use(router)
  registerExpress(router, rest, routes)
  return app
}

export function registerExpress(
  router: express.IRouter,
  rest: string,
  routes: readonly DeclaredRoute[],
  toPath: (path: string) => string = (path) => path,
): void {
  for (const route of inOrder(routes)) {
    const handler: express.RequestHandler = (req, res) => {
      res.set(answerField, toField(answerOf(route, req.params, req.ajwt))).end()
    }
    for (const method of route.methods) {
      const name = (method === '*' ? 'all' : method.toLowerCase()) as 'all' | 'get'
      router[name](toPath(pathOf(route).replace(/\*$/, rest)), handler)
    }
  }
}

/** Behaves like the package method-override, for a header and a query parameter, with any original method. */
const overrideExpressMethod: express.RequestHandler = (req, _res, next) => {
  const query = new URLSearchParams(req.url.split('?')[1]).get('_method')
  const method = (req.get('x-http-method-override')?.split(',')[0]?.trim() || query)?.toUpperCase()
  Object.assign(req, { originalMethod: req.method })
  if (method) req.method = method
  next()
}

function buildKoa(app: Koa, routes: readonly DeclaredRoute[], guard: Guard, setup: Setup): RequestListener {
  app.silent = true
  if (setup.override === 'before') app.use(overrideKoaMethod)
  if (guard !== undefined) app.use(forKoa.ajwt(guard))
  if (setup.override === 'after') app.use(overrideKoaMethod)
  const { caseSensitive, strict } = setup.router ?? plainSetup.app
  const router = new KoaRouter({ sensitive: caseSensitive, strict })
  registerKoa(router, '*rest', routes)
  app.use(router.routes() as unknown as Koa.Middleware)
  return app.callback()
}

export function registerKoa(
  router: KoaRouter,
  rest: string,
  routes: readonly DeclaredRoute[],
  toPath: (path: string) => string = (path) => path,
): void {
  for (const route of inOrder(routes)) {
    const path = toPath(pathOf(route).replace(/\*$/, rest))
    const handler: RouterMiddleware = (ctx) => {
      ctx.set(answerField, toField(answerOf(route, ctx.params, ctx.state.ajwt)))
      ctx.body = ''
    }
    if (route.methods.includes('*')) router.all(path, handler)
    else router.register(path, [...route.methods], handler)
  }
}

/** Behaves like koa-methodoverride, which sets `originalMethod` on Node's request. */
const overrideKoaMethod: Koa.Middleware = (ctx, next) => {
  const query = new URLSearchParams(ctx.querystring).get('_method')
  const method = (ctx.get('x-http-method-override').split(',')[0]?.trim() || query)?.toUpperCase()
  Object.assign(ctx.req, { originalMethod: ctx.method })
  if (method) ctx.method = method
  return next()
}

function buildHono(routes: readonly DeclaredRoute[], guard: Guard, setup: Setup): RequestListener {
  const app = new Hono<forHono.AjwtEnv>({ strict: setup.app.strict })
  // The default handler would also print the error.
  app.onError((_error, c) => c.body('', 500))
  const override = [
    honoMethodOverride({ app, header: 'x-http-method-override' }),
    honoMethodOverride({ app, query: '_method' }),
  ]
  if (setup.override === 'before') app.use(...override)
  if (guard !== undefined) app.use(forHono.ajwt(guard))
  if (setup.override === 'after') app.use(...override)
  registerHono(app, routes)
  return getRequestListener(app.fetch)
}

export function registerHono(
  app: Hono<forHono.AjwtEnv>,
  routes: readonly DeclaredRoute[],
  toPath: (path: string) => string = (path) => path,
): void {
  for (const route of inOrder(routes)) {
    const path = toPath(pathOf(route))
    const methods = route.methods.includes('*') ? ['ALL'] : [...route.methods]
    app.on(methods, path, (c) =>
      c.body('', 200, { [answerField]: toField(answerOf(route, c.req.param(), c.get('ajwt'))) }),
    )
  }
}
