import KoaRouter from '@koa/router'
import express from 'express'
import express4 from 'express4'
import fastify, { type FastifyInstance } from 'fastify'
import fastify4 from 'fastify4'
import { Hono } from 'hono'
import Koa from 'koa'
import Koa2 from 'koa2'
import { describe, expect, test } from 'vitest'
import * as forExpress from '../../../middleware/express.js'
import * as forFastify from '../../../middleware/fastify.js'
import * as forHono from '../../../middleware/hono.js'
import * as forKoa from '../../../middleware/koa.js'
import { createVerifier, type Policy, PolicyError, type Verifier } from '../../../src/index.js'
import { emptyReport, linesOf, policyWith } from '../../support/routes/report.js'

type Keys = Policy['routes']
type Report = forExpress.RouteReport

/** Handlers in front of `ajwt`, and behind it: `GET /path`. */
interface Layout {
  readonly before?: readonly string[]
  readonly behind?: readonly string[]
  readonly isGuarded?: boolean
}

type Check = (policy: Policy | Verifier, layout: Layout, mounted: Policy) => Promise<Report>

const read = (text: string) => text.split(' ') as ['get' | 'post' | 'delete' | 'all', string]
const handler = () => 'handled'

const onExpress =
  (make: () => express.Express): Check =>
  (policy, { before = [], behind = [], isGuarded = true }, mounted) => {
    const app = make()
    app.use(express.json())
    for (const [method, path] of before.map(read)) app[method](path, handler)
    if (isGuarded) app.use(forExpress.ajwt(mounted))
    for (const [method, path] of behind.map(read)) app[method](path, handler)
    return forExpress.verifyRoutes(app, policy)
  }

const onKoa =
  (make: () => Koa): Check =>
  (policy, { before = [], behind = [], isGuarded = true }, mounted) => {
    const app = make()
    const routers = [before, behind].map((list) => {
      const router = new KoaRouter()
      for (const [method, path] of list.map(read)) router[method](path, handler)
      return router.routes() as unknown as Koa.Middleware
    })
    app.use(routers[0] as Koa.Middleware)
    if (isGuarded) app.use(forKoa.ajwt(mounted))
    app.use(routers[1] as Koa.Middleware)
    return forKoa.verifyRoutes(app, policy)
  }

const onHono: Check = (policy, { before = [], behind = [], isGuarded = true }, mounted) => {
  const app = new Hono()
  app.use(async (_c, next) => next())
  for (const [method, path] of before.map(read)) app[method](path, (c) => c.text('handled'))
  if (isGuarded) app.use(forHono.ajwt(mounted))
  for (const [method, path] of behind.map(read)) app[method](path, (c) => c.text('handled'))
  return forHono.verifyRoutes(app, policy)
}

const onFastify =
  (make: typeof fastify): Check =>
  (policy, { before = [], behind = [], isGuarded = true }, mounted) => {
    const app = make()
    const plugin = (list: readonly string[]) => async (child: FastifyInstance) => {
      for (const [method, path] of list.map(read)) child[method](path, handler)
    }
    app.register(plugin(before))
    // Too late is what stands beside the plugin that registers ajwt.
    app.register(async (child: FastifyInstance) => {
      child.register(plugin(behind))
      if (isGuarded) child.register(forFastify.ajwt, { policy: mounted })
    })
    return forFastify.verifyRoutes(app, policy)
  }

const frameworks: Record<string, Check> = {
  'Express 5': onExpress(express),
  'Express 4': onExpress(express4),
  'Koa 3': onKoa(() => new Koa()),
  'Koa 2': onKoa(() => new Koa2()),
  'Hono 4': onHono,
  'Fastify 5': onFastify(fastify),
  'Fastify 4': onFastify(fastify4),
}

describe.each(Object.entries(frameworks))('verifyRoutes on %s', (name, check) => {
  const isFastify = name.startsWith('Fastify')
  const keys: Keys = {
    'GET /orders/:id': { scope: 'read' },
    'POST /orders': { scope: 'write' },
    '* /any': 'authenticated',
    'GET /health': 'public',
  }
  const behind = ['get /orders/:orderId', 'post /orders', 'all /any', 'get /health']
  const policy = policyWith(keys)

  test('finds nothing where each handler has a key and each key a handler', async () => {
    expect(await check(policy, { behind }, policy)).toEqual(emptyReport)
    expect(await check(createVerifier(policy), { behind }, policy)).toEqual(emptyReport)
  })

  test('finds a handler without a key, and says what its callers get', async () => {
    const layout = { behind: [...behind, 'delete /orders/:id', 'get /internal/debug'] }
    const report = await check(policy, layout, policy)
    expect(linesOf(report)).toEqual({
      ...emptyReport,
      uncovered: ['DELETE /orders/:id', 'GET /internal/debug'],
    })
    expect(report.uncovered.map(({ reason }) => reason)).toEqual(
      Array(2).fill('no key: every request is denied'),
    )
    const open = policyWith(keys, { unmatched: 'public' })
    expect((await check(open, layout, open)).uncovered[0]?.reason).toContain('nothing is checked')
    const loose = createVerifier(policyWith(keys, { unmatched: 'authenticate' }))
    expect((await check(loose, layout, open)).uncovered[0]?.reason).toContain('any valid token is enough')
  })

  test('finds a key without a handler, by method', async () => {
    const more = policyWith({
      ...keys,
      'GET,PUT /orders/:id/items': 'public',
      'DELETE /orders/:id': 'public',
    })
    const report = await check(more, { behind: [...behind, 'get /orders/:id/items'] }, more)
    expect(linesOf(report)).toEqual({
      ...emptyReport,
      unanswered: ['DELETE /orders/:id', 'PUT /orders/:id/items'],
    })
    expect(report.unanswered[1]).toEqual({
      key: 'DELETE /orders/:id',
      method: 'DELETE',
      path: '/orders/:id',
      reason: 'no handler answers it',
    })
  })

  test('finds handlers in front of a middleware that is mounted too late', async () => {
    const [first = '', ...rest] = behind
    const report = await check(policy, { before: [first], behind: rest }, policy)
    expect(linesOf(report)).toEqual({ ...emptyReport, beforeMiddleware: ['GET /orders/:orderId'] })
    expect(report.beforeMiddleware[0]?.reason).toBe('no ajwt runs before this handler')
  })

  test('finds every handler where there is no middleware', async () => {
    const report = await check(policy, { behind, isGuarded: false }, policy)
    expect(linesOf(report).beforeMiddleware).toEqual([
      '* /any',
      'GET /health',
      'GET /orders/:orderId',
      'POST /orders',
    ])
  })

  test('takes HEAD for a request of GET', async () => {
    const heads = policyWith({ 'HEAD,GET /x': 'public' })
    expect(await check(heads, { behind: ['get /x'] }, heads)).toEqual(emptyReport)
    const onlyHead = policyWith({ 'HEAD /x': { scope: 'read' } })
    const report = await check(onlyHead, { behind: ['get /x'] }, onlyHead)
    expect(linesOf(report)).toEqual({ ...emptyReport, uncovered: ['GET /x'] })
  })

  test('finds a handler of every method whose key names some', async () => {
    const some = policyWith({ 'GET,POST /any': 'public' })
    const report = await check(some, { behind: ['all /any'] }, some)
    expect(linesOf(report)).toEqual({ ...emptyReport, uncovered: ['* /any'] })
    expect(report.uncovered[0]?.reason).toContain('the policy names only GET, POST')
  })

  test('compares wildcards', async () => {
    const rest = name.startsWith('Express 5') || name.startsWith('Koa') ? '*rest' : '*'
    const files = policyWith({ 'GET /files/*': { scope: 'read' } })
    expect(await check(files, { behind: [`get /files/${rest}`] }, files)).toEqual(emptyReport)
    // Fastify has no key for another pattern; the others find the key by the path.
    const within = linesOf(await check(files, { behind: ['get /files/readme'] }, files))
    expect(within).toEqual(
      isFastify
        ? { ...emptyReport, uncovered: ['GET /files/readme'], unanswered: ['GET /files/*'] }
        : emptyReport,
    )
    const above = await check(files, { behind: [`get /${rest}`] }, files)
    expect(linesOf(above).uncovered).toEqual([`GET /${rest}`])
    expect(above.uncovered[0]?.reason).toContain(isFastify ? 'no key' : 'only some of its paths have a key')
  })

  test('takes a handler of every method and path without a key for no answer to a key', async () => {
    const rest = name.startsWith('Express 5') || name.startsWith('Koa') ? '*rest' : '*'
    const files = policyWith({ 'GET /files/:name': 'public', 'DELETE /fils/:name': 'public' })
    const report = await check(files, { behind: ['get /files/:name', `all /${rest}`] }, files)
    expect(linesOf(report)).toEqual({
      ...emptyReport,
      uncovered: [`* /${rest}`],
      unanswered: ['DELETE /fils/:name'],
    })
    expect(report.unanswered[0]?.reason).toContain(isFastify ? 'no handler' : 'only a handler without a key')
    // Two such handlers, and one whose key names some methods.
    const some = policyWith({ 'GET /files/*': 'public', 'GET /b': 'public' })
    const layout = { behind: [`all /files/${rest}`, `all /${rest}`] }
    expect(linesOf(await check(some, layout, some)).unanswered).toEqual(['GET /b'])
    const all = policyWith({ '* /files/*': 'public', 'GET /files/a': 'authenticated' })
    const proxied = linesOf(await check(all, { behind: [`all /files/${rest}`] }, all))
    expect(proxied).toEqual(isFastify ? { ...emptyReport, unanswered: ['GET /files/a'] } : emptyReport)
  })

  test('knows which key a handler answers where keys overlap', async () => {
    const overlapping = policyWith({ 'GET /orders/me': 'public', 'GET /orders/:id': { scope: 'read' } })
    const report = await check(overlapping, { behind: ['get /orders/me'] }, overlapping)
    expect(linesOf(report)).toEqual({ ...emptyReport, unanswered: ['GET /orders/:id'] })
    const byParameter = linesOf(await check(overlapping, { behind: ['get /orders/:id'] }, overlapping))
    expect(byParameter).toEqual(isFastify ? { ...emptyReport, unanswered: ['GET /orders/me'] } : emptyReport)
  })

  test('refuses a policy that is wrong', async () => {
    const wrong = policyWith({ '/orders': 'public' } as never)
    await expect(check(wrong, { behind }, policy)).rejects.toThrow(PolicyError)
  })
})
