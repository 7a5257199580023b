import express from 'express'
import express4 from 'express4'
import supertest from 'supertest'
import { describe, expect, test } from 'vitest'
import * as forExpress from '../../../middleware/express.js'
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

  test('reads an app that a router mounts, and a router that is mounted in itself', async () => {
    const app = make()
    const [router, sub] = [make.Router(), make()]
    sub.get('/status', handler)
    router.use('/sub', sub)
    router.get('/x', handler)
    router.use('/again', router)
    app.use(router)
    const report = linesOf(await forExpress.verifyRoutes(app, policy))
    expect(report.uncovered).toEqual(['* /again/*', 'GET /sub/status', 'GET /x'])
    expect(report.beforeMiddleware).toEqual(report.uncovered)
  })

  test('takes a function without next below a path for a handler of all that is there', async () => {
    const answer: express.RequestHandler = (_req, res) => void res.end()
    const app = make()
    app.use('/metrics', answer)
    app.use('/static', (_req, _res, next) => next())
    app.use(forExpress.ajwt(policy))
    app.use('/trpc', answer)
    app.use('/', answer)
    const keys = { 'GET,POST /trpc/*': 'public', 'GET /metrics': 'public' } as const
    expect(linesOf(await forExpress.verifyRoutes(app, policyWith(keys)))).toEqual({
      ...emptyReport,
      beforeMiddleware: ['* /metrics/*'],
    })
    const other = policyWith({ 'GET /trpc/a/b': 'public' })
    expect(linesOf(await forExpress.verifyRoutes(app, other)).uncovered).toEqual(['* /metrics/*'])
    // Another method or path below it is public.
    const open = policyWith(keys, { unmatched: 'public' })
    const { uncovered } = await forExpress.verifyRoutes(app, open)
    expect(uncovered.map(({ path, reason }) => `${path}: ${reason}`)).toEqual([
      expect.stringContaining('/metrics/*: no key: nothing is checked'),
      expect.stringContaining('/trpc/*: it answers every method'),
    ])
  })

  test('distinguishes letter case where the router of the middleware does', async () => {
    const app = make()
    app.enable('case sensitive routing')
    app.use('/V1', forExpress.ajwt(policy))
    app.use('/v2/admin', forExpress.ajwt(policy))
    app.use('/v3', forExpress.ajwt(policy))
    app.get(['/V1/x', '/v1/x', '/v2/admin/x', '/v3/:id'], handler)
    // This router takes /v2/ADMIN/y and /v3/Y.
    const router = make.Router().get('/admin/y', handler)
    app.use('/v2', router)
    app.use('/v3', router)
    const { beforeMiddleware } = linesOf(await forExpress.verifyRoutes(app, policy))
    expect(beforeMiddleware).toEqual(['GET /v1/x', 'GET /v2/admin/y'])
  })

  test('takes a middleware under a wildcard for one of every path, and none for a path that it may not see', async () => {
    const [everything, optional] = make === express ? ['/{*all}', '/t{/:id}'] : ['*', '/t/:id?']
    const app = make()
    app.use('/t/:tenant', forExpress.ajwt(policy))
    app.get(['/t/:id', optional, '/t/:id/x'], handler)
    app.use(everything, forExpress.ajwt(policy))
    app.get(['/', '/a/:b'], handler)
    const { beforeMiddleware } = linesOf(await forExpress.verifyRoutes(app, policy))
    expect(beforeMiddleware).toEqual([`GET ${optional}`])
  })
})

test('verifyRoutes on Express 5 needs a router that keeps its mount paths', async () => {
  const policy = policyWith({ 'GET /v1/x': 'public' })
  const app = express().use(forExpress.ajwt(policy))
  app.use('/v1', express.Router().get('/x', handler))
  // As in version 2.2 of the package router.
  for (const layer of app.router.stack) Reflect.deleteProperty(layer, 'rawPath')
  await expect(forExpress.verifyRoutes(app, policy)).rejects.toThrow('npm update router')
})
