import { createServer } from 'node:http'
import KoaRouter from '@koa/router'
import fastify, { type FastifyInstance } from 'fastify'
import fastify4 from 'fastify4'
import { Hono } from 'hono'
import Koa from 'koa'
import { describe, expect, test } from 'vitest'
import * as forExpress from '../../../middleware/express.js'
import * as forFastify from '../../../middleware/fastify.js'
import * as forHono from '../../../middleware/hono.js'
import * as forKoa from '../../../middleware/koa.js'
import { emptyReport, linesOf, policyWith } from '../../support/routes/report.js'

const handler = () => 'handled'

describe('verifyRoutes on Koa', () => {
  const policy = policyWith({ 'GET /v1/orders/:id': { scope: 'read' }, 'GET /v1/items/:item': 'public' })

  test('reads prefixes, nested routers and regular expressions', async () => {
    const router = new KoaRouter({ prefix: '/v1' })
    const nested = new KoaRouter()
    nested.get('/:item', handler)
    nested.use(async (_ctx, next) => next())
    router.use('/items', nested.routes(), nested.allowedMethods())
    router.get('/orders/:id', handler)
    router.get(/^\/re/, handler)
    const app = new Koa().use(forKoa.ajwt(policy)).use(router.routes() as unknown as Koa.Middleware)
    const report = await forKoa.verifyRoutes(app, policy)
    expect(linesOf(report)).toEqual({
      ...emptyReport,
      uncovered: ['GET /^\\/re/'],
    })
    expect(report.uncovered[0]?.reason).toContain('a regular expression')
    expect(linesOf(await forKoa.verifyRoutes(router, policy)).beforeMiddleware).toEqual([])
  })

  test('takes an ajwt inside a router for none, but for one at a route', async () => {
    const router = new KoaRouter({ prefix: '/v1' })
    router.use(forKoa.ajwt(policy) as never)
    router.get('/orders/:id', handler)
    router.get('/items/:item', forKoa.ajwt(policy) as never, handler)
    router.get('/late', handler, forKoa.ajwt(policy) as never)
    const app = new Koa().use(router.routes() as unknown as Koa.Middleware)
    const { beforeMiddleware } = linesOf(await forKoa.verifyRoutes(app, policy))
    expect(beforeMiddleware).toEqual(['GET /v1/late', 'GET /v1/orders/:id'])
  })
})

describe('verifyRoutes on Hono', () => {
  const policy = policyWith({ 'GET /v1/orders/:id': { scope: 'read' }, 'GET,POST /v1/x': 'public' })

  test('reads apps in apps, base paths and several handlers of a route', async () => {
    const app = new Hono()
    const sub = new Hono().basePath('/orders')
    sub.onError((_error, c) => c.text('', 500))
    sub.use(async (_c, next) => next())
    sub.get('/:id{[0-9]+}', forHono.requireIntent({ scope: 'read' }), (c) => c.text(''))
    app.use(forHono.ajwt(policy))
    app.route('/v1', sub)
    app.on(['GET', 'POST'], '/v1/x', (c) => c.text(''))
    app.all('/v1/all', (c) => c.text(''))
    app.get('/v1/*/middle', (c) => c.text(''))
    const report = await forHono.verifyRoutes(app, policy)
    expect(linesOf(report)).toEqual({ ...emptyReport, uncovered: ['* /v1/all', 'GET /v1/*/middle'] })
  })

  test('knows which handlers a middleware for some paths protects, in an app with an error handler too', async () => {
    const app = new Hono()
    const sub = new Hono()
    sub.onError((_error, c) => c.text('', 500))
    sub.use(forHono.ajwt(policy))
    sub.get('/orders/:id', (c) => c.text(''))
    app.route('/v1', sub)
    app.on(['GET', 'POST'], '/v1/x', (c) => c.text(''))
    app.get('/V1/y', (c) => c.text(''))
    expect(linesOf(await forHono.verifyRoutes(app, policy)).beforeMiddleware).toEqual(['GET /V1/y'])
  })

  test('takes a middleware for a method or for one path for no other', async () => {
    const app = new Hono()
    app.get('/a', forHono.ajwt(policy))
    app.on('GET', '/b/*', forHono.ajwt(policy))
    app.use('/c', forHono.ajwt(policy))
    app.use('/d/', forHono.ajwt(policy))
    app.use('/e/:id/*', forHono.ajwt(policy))
    const paths = ['/a', '/a/x', '/b', '/b/x', '/c', '/c/x', '/c/', '/d', '/d/', '/e/:id', '/e/:id?', '/e/*']
    for (const path of paths) app.get(path, (c) => c.text(''))
    app.post('/a', (c) => c.text(''))
    app.all('/b/all', (c) => c.text(''))
    const { beforeMiddleware } = linesOf(await forHono.verifyRoutes(app, policy))
    const unprotected = ['/a/x', '/c/', '/c/x', '/d', '/e/*', '/e/:id?'].map((path) => `GET ${path}`)
    expect(beforeMiddleware).toEqual(['* /b/all', ...unprotected, 'POST /a'])
    const status = async (path: string, method = 'GET') => (await app.request(path, { method })).status
    for (const path of ['/a/x', '/c/', '/c/x', '/d', '/e'])
      expect([path, await status(path)]).toEqual([path, 200])
    for (const path of ['/a', '/b', '/b/x', '/c', '/d/', '/e/1']) {
      expect([path, await status(path)]).toEqual([path, 401])
    }
    expect([await status('/a', 'POST'), await status('/b/all', 'POST')]).toEqual([200, 200])
  })
})

describe.each([
  ['Fastify 5', fastify],
  ['Fastify 4', fastify4],
])('verifyRoutes on %s', (_, make) => {
  test('reads prefixes, child plugins, optional parameters, constraints and patterns that no key can have', async () => {
    const policy = policyWith({
      'GET /v1': 'public',
      'GET /v1/orders': 'public',
      'GET /v1/orders/:id': { scope: 'read' },
      'GET /v1/hosts': 'public',
    })
    const app = make()
    app.register(forFastify.ajwt, { policy })
    app.register(
      async (child: FastifyInstance) => {
        child.get('/', handler)
        child.get('/orders/:id?', handler)
        child.get('/hosts', { constraints: { host: 'a.example.com' } }, handler)
        child.get('/hosts', handler)
        child.get('/:name.:type', handler)
        child.get('/Orders', handler)
      },
      { prefix: '/v1' },
    )
    const report = await forFastify.verifyRoutes(app, policy)
    // In Fastify 4, the root of a prefix is two patterns.
    const root = make === fastify ? [] : ['GET /v1/']
    const uncovered = [...root, 'GET /v1/:name.:type', 'GET /v1/Orders']
    expect(linesOf(report)).toEqual({ ...emptyReport, uncovered })
  })

  test('knows which instances a plugin protects', async () => {
    const policy = policyWith({ 'GET /inside': 'public' })
    const app = make()
    app.register(async (child: FastifyInstance) => {
      child.register(forFastify.ajwt, { policy })
      child.get('/inside', handler)
    })
    app.get('/beside', handler)
    expect(linesOf(await forFastify.verifyRoutes(app, policy)).beforeMiddleware).toEqual(['GET /beside'])
  })

  test('says that it cannot read the routes of a Fastify that lists them in another way', async () => {
    const strange = { ready: async () => undefined, printRoutes: () => '└── /x (GET)' }
    await expect(forFastify.verifyRoutes(strange, policyWith({}))).rejects.toThrow('cannot read the routes')
    const empty = { ready: async () => undefined, printRoutes: () => '(empty tree)' }
    expect(await forFastify.verifyRoutes(empty, policyWith({}))).toEqual(emptyReport)
  })
})

test.each<[string, (app: never) => Promise<unknown>]>([
  ['an app or a router of Express', (app) => forExpress.verifyRoutes(app, policyWith({}))],
  ['an app of Koa', (app) => forKoa.verifyRoutes(app, policyWith({}))],
  ['an app of Hono', (app) => forHono.verifyRoutes(app, policyWith({}))],
  ['an instance of Fastify', (app) => forFastify.verifyRoutes(app, policyWith({}))],
])('verifyRoutes says that it takes %s', async (what, verifyRoutes) => {
  for (const wrong of [undefined, null, {}, createServer(), policyWith({})]) {
    await expect(verifyRoutes(wrong as never)).rejects.toThrow(`verifyRoutes takes ${what}`)
  }
})
