import KoaRouter from '@koa/router'
import express from 'express'
import express4 from 'express4'
import fastify, { type FastifyInstance } from 'fastify'
import fastify4 from 'fastify4'
import { Hono } from 'hono'
import Koa from 'koa'
import supertest from 'supertest'
import { describe, expect, test } from 'vitest'
import * as forExpress from '../../../middleware/express.js'
import * as forFastify from '../../../middleware/fastify.js'
import * as forHono from '../../../middleware/hono.js'
import * as forKoa from '../../../middleware/koa.js'
import { emptyReport, linesOf, policyWith } from '../../support/routes/report.js'

const handler = () => 'handled'

describe.each([
  ['Express 5', express],
  ['Express 4', express4],
])('verifyRoutes on %s', (_, make) => {
  const policy = policyWith({
    'GET /v1/orders/:id': { scope: 'read' },
    'GET /v1/tenants/:tenant/x': 'public',
  })

  test('reads routers in routers, routes of several methods, and apps in apps', async () => {
    const app = make()
    const [outer, inner, root] = [make.Router(), make.Router({ mergeParams: true }), make.Router()]
    let isRun = false
    inner.get('/x', handler)
    outer.use('/tenants/:tenant', inner)
    outer.route('/orders/:id').get(handler).delete(handler)
    root.use('/', outer)
    const sub = make()
    sub.use(() => {
      isRun = true
    })
    sub.get('/', handler)
    sub.get('/status', handler)
    app.use(forExpress.ajwt(policy))
    app.use('/v1', root)
    app.use(['/a-b', '/c.d'], sub)
    app.use('/empty', make())
    expect(linesOf(await forExpress.verifyRoutes(app, policy))).toEqual({
      ...emptyReport,
      uncovered: ['DELETE /v1/orders/:id', 'GET /a-b', 'GET /a-b/status', 'GET /c.d', 'GET /c.d/status'],
    })
    expect(isRun).toBe(false)
    expect(RegExp.prototype.exec.toString()).toContain('[native code]')
  })

  test('knows which handlers a mounted middleware protects', async () => {
    const app = make()
    const inner = make.Router()
    inner.get('/early', handler)
    inner.use(forExpress.ajwt(policy))
    inner.get('/late', handler)
    app.use('/v1', forExpress.ajwt(policy))
    app.get('/v1/orders/:id', handler)
    app.get('/V1/tenants/:t/x', handler)
    app.get('/v1x', handler)
    app.use('/inner', inner)
    app.get('/inner/beside', handler)
    app.get('/own', forExpress.ajwt(policy), handler)
    app.get('/open', handler, forExpress.ajwt(policy))
    expect(linesOf(await forExpress.verifyRoutes(app, policy))).toMatchObject({
      unanswered: [],
      beforeMiddleware: ['GET /inner/beside', 'GET /inner/early', 'GET /open', 'GET /v1x'],
    })
  })

  test('reports regular expressions, and paths that no key can have', async () => {
    const app = make()
    app.use(forExpress.ajwt(policy))
    app.get(/^\/v1\/orders\/\d+$/, handler)
    app.get('/files/:name.:type', handler)
    const router = make.Router()
    router.get('/y', handler)
    app.use(/^\/any/, router)
    const report = await forExpress.verifyRoutes(app, policy)
    const expressions = ['GET /(/^\\/any/)/y', 'GET /^\\/v1\\/orders\\/\\d+$/']
    expect(linesOf(report).uncovered).toEqual([...expressions, 'GET /files/:name.:type'])
    expect(report.uncovered[0]?.reason).toContain('a regular expression')
    expect(report.uncovered[1]?.reason).toContain('no key can have this pattern')
    // The expression answers the key.
    expect(linesOf(report).unanswered).toEqual(['GET /v1/tenants/:tenant/x'])
  })

  test('reads lists of paths, optional ends, and routes of every method in a router', async () => {
    const optional = make === express ? '/o{/:id}' : '/o/:id?'
    const app = make()
    const router = make.Router()
    router.all('/every', handler)
    app.use(forExpress.ajwt(policy))
    app.get(['/p', '/q'], handler)
    app.get(optional, handler)
    app.use(router)
    const keys = { 'GET /o/:id': 'public', 'GET /p': 'public' } as const
    const some = await forExpress.verifyRoutes(app, policyWith(keys))
    expect(linesOf(some)).toEqual({
      ...emptyReport,
      uncovered: ['* /every', 'GET /q', `GET ${optional}`].sort(),
    })
    const more = policyWith({ ...keys, 'GET /o': 'public', 'GET /q': 'public', '* /every': 'public' })
    expect(await forExpress.verifyRoutes(app, more)).toEqual(emptyReport)
  })

  test('reports the weaker of two handlers of one path, and HEAD where only GET is protected', async () => {
    const app = make()
    const router = make.Router().use(forExpress.ajwt(policy)).get('/again', handler)
    app.use(router)
    app.get('/again', handler)
    app.get('/twice', handler)
    app.head('/head', handler)
    app.use(forExpress.ajwt(policy))
    app.get('/twice', handler)
    app.get('/head', handler)
    const report = await forExpress.verifyRoutes(app, policy)
    expect(linesOf(report).beforeMiddleware).toEqual(['GET /again', 'GET /twice', 'HEAD /head'])
  })

  test('knows mount paths with parameters, and takes no regular expression for a mount path', async () => {
    const app = make()
    const router = make.Router()
    router.get('/y', handler)
    app.use('/t/:tenant', forExpress.ajwt(policy))
    app.use(/^\/any/, forExpress.ajwt(policy))
    app.get('/t/:other/x', handler)
    app.get('/t', handler)
    app.use(/^\/any/, router)
    const report = await forExpress.verifyRoutes(app, policy)
    expect(linesOf(report).beforeMiddleware).toEqual(['GET /(/^\\/any/)/y', 'GET /t'])
  })

  test('takes an app of another Express for a handler of all that is below it, and leaves both as they are', async () => {
    const app = make()
    const [sub, other] = [make(), (make === express ? express4 : express)()]
    let runs = 0
    for (const each of [sub, other]) {
      each.use((_req, _res, next) => {
        runs++
        next()
      })
      each.get('/', (_req, res) => void res.send('handled'))
    }
    app.use('/sub', sub).use('/other', other)
    const report = await forExpress.verifyRoutes(app, policy)
    expect(linesOf(report).uncovered).toEqual(['* /other/*', 'GET /sub'])
    expect(runs).toBe(0)
    for (const path of ['/sub', '/other']) expect((await supertest(app).get(path)).text).toBe('handled')
    expect(runs).toBe(2)
  })

  test('takes a router alone', async () => {
    const router = make.Router()
    router.use(forExpress.ajwt(policy))
    router.get('/v1/orders/:id', handler)
    expect(linesOf(await forExpress.verifyRoutes(router, policy))).toMatchObject({
      uncovered: [],
      beforeMiddleware: [],
    })
    expect(linesOf(await forExpress.verifyRoutes(make(), policy)).unanswered).toHaveLength(2)
  })
})

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
