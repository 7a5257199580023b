import type { RequestListener } from 'node:http'
import { type ClientHttp2Session, connect, createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import KoaRouter from '@koa/router'
import express, { type Router } from 'express'
import express4 from 'express4'
import { Hono } from 'hono'
import Koa from 'koa'
import mount from 'koa-mount'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../fixtures/conformance/policy.js'
import { createKit, plainRequest, type WireRequest } from '../../fixtures/kit.js'
import * as forExpress from '../../middleware/express.js'
import * as forHono from '../../middleware/hono.js'
import * as forKoa from '../../middleware/koa.js'
import type { Policy, RouteRule } from '../../src/index.js'
import { ask } from '../support/ask.js'
import { verifierFor } from '../support/verify.js'

const guarded: RouteRule = { scope: 'admin' }

function policy(routes: Policy['routes'], more: Partial<Policy> = {}): Policy {
  return { ...defaultPolicy(), routes, ...more }
}

const refused = { status: 401, content: 'credentials_missing' }

/** An app and a router in it that were told different things of letter case and last slashes. */
interface Mixture {
  readonly title: string
  readonly app: readonly string[]
  readonly router: Parameters<typeof Router>[0]
  readonly routes: Policy['routes']
  readonly handlers: readonly [path: string, name: string][]
  /** Passes, as its spelling is the policy's own. */
  readonly open: string
  /** Leads to the guarded handler, and has to be refused. */
  readonly disguised: string
}

const mixtures: readonly Mixture[] = [
  {
    title: 'A: the app tells letters apart, its router does not',
    app: ['case sensitive routing'],
    router: {},
    routes: { 'GET /api/admin': guarded, 'GET /api/:x': 'public' },
    handlers: [
      ['/admin', 'guarded'],
      ['/:x', 'open'],
    ],
    open: '/api/other',
    disguised: '/api/ADMIN',
  },
  {
    title: 'B: the app tells slashes apart, its router does not',
    app: ['strict routing'],
    router: {},
    routes: { 'GET /api/admin': guarded, 'GET /api/*': 'public' },
    handlers: [
      ['/admin', 'guarded'],
      ['/*rest', 'open'],
    ],
    open: '/api/other',
    disguised: '/api/admin/',
  },
  {
    title: 'C: the router tells slashes apart, the app does not',
    app: [],
    router: { strict: true },
    routes: { 'GET /api/a': 'public', 'GET /api/*': guarded },
    handlers: [
      ['/a', 'open'],
      ['/*rest', 'guarded'],
    ],
    open: '/api/a',
    disguised: '/api/a/',
  },
  {
    title: 'D: the router tells letters apart, the app does not',
    app: [],
    router: { caseSensitive: true },
    routes: { 'GET /api/a': 'public', 'GET /api/:x': guarded },
    handlers: [
      ['/a', 'open'],
      ['/:x', 'guarded'],
    ],
    open: '/api/a',
    disguised: '/API/A',
  },
]

describe.each([
  ['Express 5', express],
  ['Express 4', express4],
])('%s, where app and router disagree', (_, makeApp) => {
  function build({ app: settings, router: options, handlers }: Mixture, guard: Policy | undefined) {
    const app = makeApp()
    for (const setting of settings) app.enable(setting)
    if (guard !== undefined) app.use(forExpress.ajwt(guard))
    const router = makeApp.Router(options)
    for (const [path, name] of handlers) {
      const own = makeApp === express4 ? path.replace('*rest', '*') : path
      router.get(own, (_req, res) => void res.end(name))
    }
    app.use('/api', router)
    return app
  }

  test.each(mixtures)('$title', async (mixture) => {
    // Without a guard, the disguise does lead to the guarded handler: that is what makes it an attack.
    expect(await ask(build(mixture, undefined), plainRequest('GET', mixture.disguised))).toMatchObject({
      content: 'guarded',
    })
    const app = build(mixture, policy(mixture.routes))
    expect(await ask(app, plainRequest('GET', mixture.open))).toMatchObject({ status: 200, content: 'open' })
    expect(await ask(app, plainRequest('GET', mixture.disguised))).toMatchObject(refused)
  })
})

test.each([
  ['strict', { strict: true }, 'GET /api/*', '/api/{*rest}', '/api/a/'],
  ['sensitive', { sensitive: true }, 'GET /:y/:x', '/:y/:x', '/api/A'],
  ['sensitive', { sensitive: true }, 'GET /:y/:x', '/:y/:x', '/API/a'],
] as const)('@koa/router that is %s: %o, %s', async (_, options, guardedKey, guardedPath, disguised) => {
  function build(guard: Policy | undefined) {
    const app = new Koa()
    if (guard !== undefined) app.use(forKoa.ajwt(guard))
    const router = new KoaRouter(options)
    for (const [path, name] of [
      ['/api/a', 'open'],
      [guardedPath, 'guarded'],
    ] as const) {
      router.get(path, (ctx) => {
        ctx.body = name
      })
    }
    app.use(router.routes() as unknown as Koa.Middleware)
    return app.callback()
  }
  expect(await ask(build(undefined), plainRequest('GET', disguised))).toMatchObject({ content: 'guarded' })
  const app = build(policy({ 'GET /api/a': 'public', [guardedKey]: guarded }))
  expect(await ask(app, plainRequest('GET', '/api/a'))).toMatchObject({ status: 200, content: 'open' })
  expect(await ask(app, plainRequest('GET', disguised))).toMatchObject(refused)
})

describe('a wildcard below a mount, where nothing follows the mount path', () => {
  const routes = { 'GET /v1/*': guarded, 'GET /*': 'public' } as const
  type Guard = Policy | undefined

  function expressApp(makeApp: typeof express, path: string, options?: Parameters<typeof Router>[0]) {
    return (guard: Guard) => {
      const app = makeApp()
      if (guard !== undefined) app.use(forExpress.ajwt(guard))
      const router = makeApp.Router(options)
      router.get(path, (_req, res) => void res.end('guarded'))
      app.use('/v1', router)
      app.get(makeApp === express4 ? '/*' : '/{*rest}', (_req, res) => void res.end('open'))
      return app
    }
  }

  function koaApp(place: (app: Koa, router: Koa.Middleware) => void, path: string, prefix?: string) {
    return (guard: Guard) => {
      const app = new Koa()
      if (guard !== undefined) app.use(forKoa.ajwt(guard) as Koa.Middleware)
      const router = new KoaRouter(prefix === undefined ? {} : { prefix })
      router.get(path, (ctx) => {
        ctx.body = 'guarded'
      })
      place(app, router.routes() as unknown as Koa.Middleware)
      app.use((ctx) => {
        ctx.body = 'open'
      })
      return app.callback()
    }
  }

  const atRoot = (app: Koa, router: Koa.Middleware) => void app.use(router)
  const mounted = (app: Koa, router: Koa.Middleware) => void app.use(mount('/v1', new Koa().use(router)))

  const apps: [name: string, build: (guard: Guard) => RequestListener][] = [
    ['Express 4, /*', expressApp(express4, '/*')],
    ['Express 4, *', expressApp(express4, '*')],
    ['Express 4, /* in a strict router', expressApp(express4, '/*', { strict: true })],
    ['Express 5, /{*rest}', expressApp(express, '/{*rest}')],
    ['Express 5, {/*rest}', expressApp(express, '{/*rest}')],
    ['Express 5, /{*rest} in a strict router', expressApp(express, '/{*rest}', { strict: true })],
    ['koa-mount, /{*rest}', koaApp(mounted, '/{*rest}')],
    ['koa-mount, {/*rest}', koaApp(mounted, '{/*rest}')],
    ['@koa/router with a prefix, {/*rest}', koaApp(atRoot, '{/*rest}', '/v1')],
    ['@koa/router, /v1{/*rest}', koaApp(atRoot, '/v1{/*rest}')],
  ]

  test.each(apps)('%s', async (name, build) => {
    // koa-mount tells letters apart.
    const paths = ['/v1', '/v1?a=1', '/v1/', '/v1?/x', ...(name.startsWith('koa-mount') ? [] : ['/V1'])]
    for (const path of paths) {
      // Without a guard, its handler runs: that is what makes it an attack.
      expect(await ask(build(undefined), plainRequest('GET', path))).toMatchObject({ content: 'guarded' })
      expect(await ask(build(policy(routes)), plainRequest('GET', path))).toMatchObject(refused)
      expect(await ask(build(policy(routes)), plainRequest('HEAD', path))).toMatchObject({ status: 401 })
    }
    expect(await ask(build(policy(routes)), plainRequest('GET', '/v1/x'))).toMatchObject(refused)
    expect(await ask(build(policy(routes)), plainRequest('GET', '/v2'))).toMatchObject({
      status: 200,
      content: 'open',
    })
    // A key of its own settles it.
    const settled = policy({ ...routes, 'GET /v1': 'public' })
    expect(await ask(build(settled), plainRequest('GET', '/v1'))).toMatchObject({ status: 200 })
  })
})

test('below app.mount() Hono hands on a part of the path: a policy of whole paths lets nothing in', async () => {
  function build(guard: Policy | undefined) {
    const inner = new Hono()
    if (guard !== undefined) inner.use(forHono.ajwt(guard))
    inner.get('/admin', (c) => c.text('guarded'))
    inner.get('/health', (c) => c.text('open'))
    return getRequestListener(new Hono().mount('/v1', inner.fetch).fetch)
  }
  expect(await ask(build(undefined), plainRequest('GET', '/v1/admin'))).toMatchObject({ content: 'guarded' })
  const app = build(policy({ 'GET /v1/admin': guarded, 'GET /v1/health': 'public' }))
  expect(await ask(app, plainRequest('GET', '/v1/admin'))).toMatchObject(refused)
  expect(await ask(app, plainRequest('GET', '/v1/health'))).toMatchObject(refused)
})

test('Hono answers HEAD by the handler of GET, and so under its rule', async () => {
  const app = new Hono()
  app.use(forHono.ajwt(policy({ 'GET /x': guarded, 'HEAD /y': guarded, 'GET /y': 'public' })))
  let runs = 0
  for (const path of ['/x', '/y']) {
    app.get(path, (c) => {
      runs++
      return c.text('get')
    })
  }
  const listener = getRequestListener(app.fetch)
  expect(await ask(listener, plainRequest('HEAD', '/x'))).toMatchObject({ status: 401 })
  expect(runs).toBe(0)
  expect(await ask(listener, plainRequest('HEAD', '/y'))).toMatchObject({ status: 200 })
  expect(runs).toBe(1)
})

test('with the framework unknown, HEAD is let in only where every framework has the same rule for it', async () => {
  const routes = { 'GET /x': 'public', 'HEAD /x': guarded, 'GET /y': 'public' } as const
  const { outcome } = verifierFor(createKit(), { routes })
  expect(await outcome(plainRequest('HEAD', '/x'))).toBe('credentials_missing')
  expect(await outcome(plainRequest('HEAD', '/y'))).toBe('public')
})

describe('a strict Express app with the middleware on a mount', () => {
  function build(routes: Policy['routes']) {
    const app = express()
    app.enable('strict routing')
    app.use('/x', forExpress.ajwt(policy(routes)))
    app.get('/x', (_req, res) => void res.end('without'))
    app.get('/x/', (_req, res) => void res.end('with'))
    return app
  }

  test('takes no slash off the path', async () => {
    const app = build({ 'GET /x': 'public' })
    expect(await ask(app, plainRequest('GET', '/x'))).toMatchObject({ status: 200, content: 'without' })
    expect(await ask(app, plainRequest('GET', '/x?a=/'))).toMatchObject({ status: 200, content: 'without' })
    expect(await ask(app, plainRequest('GET', '/x/'))).toMatchObject(refused)
    expect(await ask(app, plainRequest('GET', '/x/?a'))).toMatchObject(refused)
  })

  test('adds none either', async () => {
    const app = build({ 'GET /x/': 'public' })
    expect(await ask(app, plainRequest('GET', '/x/'))).toMatchObject({ status: 200, content: 'with' })
    expect(await ask(app, plainRequest('GET', '/x'))).toMatchObject(refused)
  })
})

// The most forgiving reader was asked with a path that was decoded once already, and decoded it again.
test.each(['authenticate', 'public'] as const)(
  'an escape that decodes to a malformed one ends no request in an error, unmatched: %s',
  async (unmatched) => {
    const { outcome } = verifierFor(createKit(), { unmatched, routes: { 'GET /orders/:id': guarded } })
    expect(await outcome(plainRequest('GET', '/orders;x/%25zz'))).toBe('credentials_missing')
    expect(await outcome(plainRequest('GET', '/orders;x/%2541'))).toBe('credentials_missing')
    const app = express()
    app.use(forExpress.ajwt(policy({ 'GET /orders/:id': guarded }, { unmatched })))
    app.get('/orders/:id', (_req, res) => void res.end('guarded'))
    expect(await ask(app, plainRequest('GET', '/orders;x/%25zz'))).toMatchObject(refused)
  },
)

test('@koa/router looks its handler up by newRouterPath, where that is set: so does the middleware', async () => {
  function build(guard: Policy | undefined) {
    const app = new Koa()
    app.use((ctx, next) => {
      Object.assign(ctx, { newRouterPath: ctx.path.replace(/^\/v1/, '') })
      return next()
    })
    if (guard !== undefined) app.use(forKoa.ajwt(guard))
    const router = new KoaRouter()
    for (const [path, name] of [
      ['/admin', 'guarded'],
      ['/health', 'open'],
    ] as const) {
      router.get(path, (ctx) => {
        ctx.body = name
      })
    }
    app.use(router.routes() as unknown as Koa.Middleware)
    return app.callback()
  }
  expect(await ask(build(undefined), plainRequest('GET', '/v1/admin'))).toMatchObject({ content: 'guarded' })
  const app = build(policy({ 'GET /admin': guarded, 'GET /health': 'public', 'GET /v1/*': 'public' }))
  expect(await ask(app, plainRequest('GET', '/v1/admin'))).toMatchObject(refused)
  expect(await ask(app, plainRequest('GET', '/v1/health'))).toMatchObject({ status: 200, content: 'open' })
})

describe('Koa over HTTP/2, whose requests have no headersDistinct', () => {
  const kit = createKit()
  const app = new Koa()
  const routes = {
    'POST /x': 'public',
    'DELETE /x': guarded,
    'GET /feed': { anonymous: true },
    'GET /me': 'authenticated',
  } as const
  app.use(forKoa.ajwt(policy(routes), { now: () => kit.now }))
  app.use((ctx) => {
    ctx.body = ctx.get('x-http-method-override') || 'handler'
  })
  const server = createServer(app.callback())
  let client: ClientHttp2Session

  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  })
  afterAll(() => {
    client.destroy()
    server.close()
  })

  async function statusOf({ method, url, headers }: WireRequest): Promise<unknown> {
    const stream = client.request({ ':method': method, ':path': url, ...Object.fromEntries(headers) })
    const status = new Promise((resolve) => stream.on('response', (fields) => resolve(fields[':status'])))
    stream.resume().end()
    return status
  }

  test('credentials and overrides are seen', async () => {
    expect(await statusOf(plainRequest('GET', '/feed'))).toBe(200)
    expect(await statusOf(plainRequest('GET', '/feed', [['authorization', 'DPoP garbage']]))).toBe(401)
    expect(await statusOf(kit.call({ path: '/me' }))).toBe(200)
    expect(await statusOf(plainRequest('POST', '/x'))).toBe(200)
    expect(await statusOf(plainRequest('POST', '/x', [['x-http-method-override', 'DELETE']]))).toBe(401)
  })
})
