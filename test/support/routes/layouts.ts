import type { RequestListener } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import KoaRouter from '@koa/router'
import express from 'express'
import express4 from 'express4'
import { Hono, type MiddlewareHandler } from 'hono'
import Koa from 'koa'
import mount from 'koa-mount'
import Koa2 from 'koa2'
import * as forExpress from '../../../middleware/express.js'
import * as forHono from '../../../middleware/hono.js'
import * as forKoa from '../../../middleware/koa.js'
import type { Verifier } from '../../../src/index.js'
import { registerExpress, registerHono, registerKoa } from './apps.js'
import type { DeclaredRoute } from './reference.js'

type Guard = Verifier | undefined

/** An app that mounts `ajwt`, its handlers, or both below its root. */
export interface Layout {
  /** The mount path. `ajwt` compares full paths; the mounted handlers see the rest. */
  readonly prefix: readonly string[]
  /** Whether `ajwt` is mounted before the whole app, including handlers outside the mounted part. */
  readonly isWhole: boolean
  build(inside: readonly DeclaredRoute[], outside: readonly DeclaredRoute[], guard: Guard): RequestListener
}

const pass: express.RequestHandler = (_req, _res, next) => next()
const guardExpress = (guard: Guard) => (guard === undefined ? pass : forExpress.ajwt(guard))

function expressLayouts(framework: typeof express, rest: string): Record<string, Layout> {
  const register = (router: express.IRouter, routes: readonly DeclaredRoute[], depth: number) =>
    registerExpress(router, rest, routes, (path) => below(path, depth))
  return {
    'ajwt mounted, handlers at the root': {
      prefix: ['v1'],
      isWhole: false,
      build(inside, _outside, guard) {
        const app = framework()
        app.use('/v1', guardExpress(guard))
        register(app, inside, 0)
        return app
      },
    },
    'ajwt and a router under a mount path in another letter case': {
      prefix: ['v1'],
      isWhole: false,
      build(inside, _outside, guard) {
        const app = framework()
        const router = framework.Router()
        register(router, inside, 1)
        app.use('/V1', guardExpress(guard), router)
        return app
      },
    },
    'ajwt at the root, a router under a mount path in another letter case': {
      prefix: ['v1'],
      isWhole: true,
      build(inside, outside, guard) {
        const app = framework()
        const router = framework.Router()
        register(router, inside, 1)
        app.use(guardExpress(guard))
        app.use('/V1', router)
        register(app, outside, 0)
        return app
      },
    },
    'ajwt in a mounted app with settings of its own': {
      prefix: ['v1'],
      isWhole: false,
      build(inside, _outside, guard) {
        const app = framework()
        const mounted = framework()
        mounted.enable('case sensitive routing')
        mounted.enable('strict routing')
        mounted.use(guardExpress(guard))
        register(mounted, inside, 1)
        app.use('/v1', mounted)
        return app
      },
    },
    'ajwt in an app with settings of its own, above routers without': {
      prefix: ['v1'],
      isWhole: true,
      build(inside, outside, guard) {
        const app = framework()
        app.enable('case sensitive routing')
        app.enable('strict routing')
        const router = framework.Router()
        register(router, inside, 1)
        const rootRouter = framework.Router()
        register(rootRouter, outside, 0)
        app.use(guardExpress(guard))
        app.use('/v1', router)
        app.use(rootRouter)
        return app
      },
    },
    'ajwt in an app without settings, above a mounted router with its own': {
      prefix: ['v1'],
      isWhole: true,
      build(inside, outside, guard) {
        const app = framework()
        const router = framework.Router({ caseSensitive: true, strict: true })
        register(router, inside, 1)
        app.use(guardExpress(guard))
        app.use('/v1', router)
        register(app, outside, 0)
        return app
      },
    },
    'ajwt in every one of nested routers': {
      prefix: ['v1', 'b'],
      isWhole: true,
      build(inside, outside, guard) {
        const app = framework()
        const outer = framework.Router()
        const inner = framework.Router()
        register(inner, inside, 2)
        app.use(guardExpress(guard))
        app.use('/v1', outer)
        outer.use(guardExpress(guard))
        outer.use('/b', guardExpress(guard), inner)
        register(app, outside, 0)
        return app
      },
    },
    'ajwt in a router mounted at a parameter': {
      prefix: [':tenant'],
      isWhole: false,
      build(inside, _outside, guard) {
        const app = framework()
        const router = framework.Router({ mergeParams: true })
        router.use(guardExpress(guard))
        register(router, inside, 1)
        app.use('/:tenant', router)
        return app
      },
    },
  }
}

const passKoa: Koa.Middleware = (_ctx, next) => next()
const guardKoa = (guard: Guard) => (guard === undefined ? passKoa : (forKoa.ajwt(guard) as Koa.Middleware))

function koaLayouts(framework: typeof Koa, rest: string): Record<string, Layout> {
  function create(): Koa {
    const app = new framework()
    app.silent = true
    return app
  }
  function router(routes: readonly DeclaredRoute[], depth: number): Koa.Middleware {
    const own = new KoaRouter()
    registerKoa(own, rest, routes, (path) => below(path, depth))
    return own.routes() as unknown as Koa.Middleware
  }
  return {
    'ajwt in a mounted app': {
      prefix: ['v1'],
      isWhole: false,
      build(inside, _outside, guard) {
        const mounted = create()
        mounted.use(guardKoa(guard))
        mounted.use(router(inside, 1))
        const app = create()
        app.use(mount('/v1', mounted))
        return app.callback()
      },
    },
    'ajwt at the root, above a mounted app': {
      prefix: ['v1'],
      isWhole: true,
      build(inside, outside, guard) {
        const mounted = create()
        mounted.use(router(inside, 1))
        const app = create()
        app.use(guardKoa(guard))
        app.use(mount('/v1', mounted))
        app.use(router(outside, 0))
        return app.callback()
      },
    },
    'ajwt in every one of nested mounts, and again at the root': {
      prefix: ['v1', 'b'],
      isWhole: true,
      build(inside, outside, guard) {
        const inner = create()
        inner.use(guardKoa(guard))
        inner.use(router(inside, 2))
        const outer = create()
        outer.use(guardKoa(guard))
        outer.use(mount('/b', inner))
        const app = create()
        app.use(mount('/v1', outer))
        app.use(guardKoa(guard))
        app.use(router(outside, 0))
        return app.callback()
      },
    },
    // @koa/router always matches the middleware of a router with a prefix case-sensitively, but not its
    // routes.
    'ajwt on a case-sensitive router with a prefix': {
      prefix: ['v1'],
      isWhole: false,
      build(inside, _outside, guard) {
        const own = new KoaRouter({ prefix: '/v1', sensitive: true })
        own.use(guardKoa(guard) as never)
        registerKoa(own, rest, inside, (path) => below(path, 1))
        const app = create()
        app.use(own.routes() as unknown as Koa.Middleware)
        return app.callback()
      },
    },
    'ajwt at the root, nested routers': {
      prefix: ['v1', 'b'],
      isWhole: true,
      build(inside, outside, guard) {
        const inner = new KoaRouter()
        registerKoa(inner, rest, inside, (path) => below(path, 2))
        const outer = new KoaRouter({ prefix: '/v1' })
        outer.use('/B', inner.routes())
        const app = create()
        app.use(guardKoa(guard))
        app.use(outer.routes() as unknown as Koa.Middleware)
        app.use(router(outside, 0))
        return app.callback()
      },
    },
  }
}

type HonoApp = Hono<forHono.AjwtEnv>
const passHono: MiddlewareHandler<forHono.AjwtEnv> = (_c, next) => next()
const guardHono = (guard: Guard) => (guard === undefined ? passHono : forHono.ajwt(guard))

const honoLayouts: Record<string, Layout> = {
  'ajwt in a sub-app of route()': {
    prefix: ['v1'],
    isWhole: false,
    build(inside, _outside, guard) {
      const part: HonoApp = new Hono()
      part.use(guardHono(guard))
      registerHono(part, inside, (path) => below(path, 1))
      return listenerOf(new Hono().route('/v1', part))
    },
  },
  'ajwt at the root, sub-apps of route()': {
    prefix: ['v1', 'b'],
    isWhole: true,
    build(inside, outside, guard) {
      const inner: HonoApp = new Hono({ strict: false })
      registerHono(inner, inside, (path) => below(path, 2))
      const outer: HonoApp = new Hono()
      outer.use(guardHono(guard))
      outer.route('/b', inner)
      const app: HonoApp = new Hono()
      app.use(guardHono(guard))
      app.route('/v1', outer)
      registerHono(app, outside)
      return listenerOf(app)
    },
  },
  'ajwt on a basePath()': {
    prefix: ['v1'],
    isWhole: false,
    build(inside, _outside, guard) {
      const app: HonoApp = new Hono()
      const part = app.basePath('/v1')
      part.use(guardHono(guard))
      registerHono(part, inside, (path) => below(path, 1))
      return listenerOf(app)
    },
  },
  'ajwt on a path pattern': {
    prefix: ['v1'],
    isWhole: false,
    build(inside, _outside, guard) {
      const app: HonoApp = new Hono()
      app.use('/v1/*', guardHono(guard))
      registerHono(app, inside)
      return listenerOf(app)
    },
  },
  'ajwt at the root, above an app that is mounted as a fetch function and handles slashes differently': {
    prefix: ['v1'],
    isWhole: true,
    build(inside, outside, guard) {
      const mounted: HonoApp = new Hono({ strict: false })
      registerHono(mounted, inside, (path) => below(path, 1))
      const app: HonoApp = new Hono()
      app.use(guardHono(guard))
      app.mount('/v1', mounted.fetch)
      registerHono(app, outside)
      return listenerOf(app)
    },
  },
}

function listenerOf(app: { fetch: HonoApp['fetch'] }): RequestListener {
  return getRequestListener(app.fetch)
}

/** A path without its first segments. */
function below(path: string, depth: number): string {
  const rest = path.split('/').slice(depth + 1)
  return `/${rest.join('/')}`
}

/** By framework, then by layout. */
export const layouts: Readonly<Record<string, Record<string, Layout>>> = {
  'Express 5': expressLayouts(express, '*rest'),
  'Express 5 with wildcards that match nothing, too': expressLayouts(express, '{*rest}'),
  'Express 4': expressLayouts(express4, '*'),
  'Koa 3': koaLayouts(Koa, '*rest'),
  'Koa 3 with wildcards that match nothing, too': koaLayouts(Koa, '{*rest}'),
  'Koa 2': koaLayouts(Koa2, '*rest'),
  'Hono 4': honoLayouts,
}
