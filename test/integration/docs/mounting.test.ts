import { EventEmitter, once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer, upgradeWebSocket } from '@hono/node-server'
import Router from '@koa/router'
import express from 'express'
import { Hono } from 'hono'
import Koa from 'koa'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import * as forExpress from '../../../middleware/express.js'
import * as forHono from '../../../middleware/hono.js'
import * as forKoa from '../../../middleware/koa.js'
import type { Policy } from '../../../src/index.js'
import { createTestIssuer } from '../../../src/testing/index.js'
import { closeAll, contentOf, serve } from '../../support/docs/issuer.js'

// What docs/frameworks.md and docs/policy.md say of mounting, on apps that are made just so: each warning is
// shown to be needed, and each remedy to help.

afterEach(closeAll)

const issuer = createTestIssuer({ audience: 'https://orders.example.com' })
const policy = (routes: Policy['routes'], more: Partial<Policy> = {}): Policy => ({
  issuer: issuer.policyIssuer,
  audience: issuer.audience,
  routes,
  ...more,
})
const headers = (url: string, scope: string, method = 'GET') => ({
  ...issuer.headers({ url, scope, method }),
})

describe('a method override in a body', () => {
  const routes = { 'POST /orders/:id': { scope: 'read' }, 'DELETE /orders/:id': { scope: 'delete' } }
  const override: express.RequestHandler = (req, _res, next) => {
    const { originalMethod } = req as { originalMethod?: string }
    Object.assign(req, {
      originalMethod: originalMethod ?? req.method,
      method: req.body._method ?? req.method,
    })
    next()
  }
  const post = async (listener: RequestListener) => {
    const call = { ...headers('/orders/17', 'read', 'POST'), 'content-type': 'application/json' }
    const body = JSON.stringify({ _method: 'DELETE' })
    return contentOf(fetch(`${await serve(listener)}/orders/17`, { method: 'POST', headers: call, body }))
  }
  const appOf = (...middleware: express.RequestHandler[]) =>
    express()
      .use(express.json(), ...middleware)
      .delete('/orders/:id', (_req, res) => void res.send('deleted'))

  test('is not seen where the middleware that takes it stands behind ajwt', async () => {
    expect(await post(appOf(forExpress.ajwt(policy(routes)), override))).toEqual([200, 'deleted'])
  })

  test('is checked where that middleware stands in front', async () => {
    const answer = await post(appOf(override, forExpress.ajwt(policy(routes))))
    expect(answer).toEqual([403, expect.objectContaining({ code: 'scope_insufficient' })])
  })
})

describe('preflight: true beside app.all()', () => {
  const preflight = { origin: 'https://app.example.com', 'access-control-request-method': 'GET' }
  const ask = async (routes: Policy['routes']) => {
    const app = express().use(forExpress.ajwt(policy(routes, { preflight: true })))
    app.all('/x', (_req, res) => void res.send('handler'))
    return contentOf(fetch(`${await serve(app)}/x`, { method: 'OPTIONS', headers: preflight }))
  }

  test('a preflight reaches the handler without credentials', async () => {
    expect(await ask({ 'GET /x': 'authenticated' })).toEqual([200, 'handler'])
  })

  test('a key for every method keeps it out', async () => {
    const answer = await ask({ '* /x': 'authenticated' })
    expect(answer).toEqual([401, expect.objectContaining({ code: 'credentials_missing' })])
  })
})

describe('an Express error handler that goes on', () => {
  const goOn: express.ErrorRequestHandler = (_error, _req, _res, next) => next()
  const ask = async (...behind: express.RequestHandler[]) => {
    const onDenied: forExpress.DenialOptions['onDenied'] = (denial, _req, _res, next) => next(denial)
    const app = express().use(forExpress.ajwt(policy({ 'GET /x': 'authenticated' }), { onDenied }), goOn)
    // Express has no grant for it, and the status of the denial is set already.
    app.get(
      '/x',
      ...behind,
      (req, res) => void res.send(`handler, ${req.ajwt === undefined ? 'no grant' : 'grant'}`),
    )
    return contentOf(fetch(`${await serve(app)}/x`))
  }

  test('runs the handlers behind it, without a grant', async () => {
    expect(await ask()).toEqual([401, 'handler, no grant'])
  })

  test('does not get past requireIntent', async () => {
    const answer = await ask(forExpress.requireIntent({ scope: 'read' }))
    expect(answer).toEqual([401, expect.objectContaining({ code: 'credentials_missing' })])
  })
})

describe('a Koa router with a prefix', () => {
  const guard = forKoa.ajwt(policy({ 'GET /v1/orders': 'authenticated' }))
  const routerOf = () => new Router({ prefix: '/v1' })
  const list = (ctx: Koa.Context) => {
    ctx.body = 'orders'
  }
  const statuses = async (app: { callback(): RequestListener }) => {
    const origin = await serve(app.callback())
    return Promise.all(['/v1/orders', '/V1/orders'].map(async (path) => (await fetch(origin + path)).status))
  }

  test('is passed by in other letters where ajwt stands inside of it', async () => {
    const router = routerOf().use(guard).get('/orders', list)
    expect(await statuses(new Koa().use(router.routes()))).toEqual([401, 200])
  })

  test('is guarded where ajwt stands in front of it', async () => {
    const router = routerOf().get('/orders', list)
    expect(await statuses(new Koa().use(guard).use(router.routes()))).toEqual([401, 401])
  })
})

describe("Hono's app.mount()", () => {
  const ask = async (unmatched: 'deny' | 'public') => {
    const inner = new Hono().use(forHono.ajwt(policy({ 'GET /v1/admin': 'authenticated' }, { unmatched })))
    inner.get('/admin', (c) => c.text('handler'))
    const app = new Hono().mount('/v1', inner.fetch)
    return (await app.request('/v1/admin')).status
  }

  test('hides the path from an ajwt inside: closed by default, open with unmatched "public"', async () => {
    expect([await ask('deny'), await ask('public')]).toEqual([401, 200])
  })
})

describe('a handler with an optional parameter', () => {
  test('answers two paths, of which one is undeclared', async () => {
    const app = express().use(forExpress.ajwt(policy({ 'GET /orders/:id': { scope: 'read' } })))
    app.get('/orders{/:id}', (_req, res) => void res.send('handler'))
    const origin = await serve(app)
    const get = (path: string) => fetch(origin + path, { headers: headers(path, 'read') })
    expect(await contentOf(get('/orders/17'))).toEqual([200, 'handler'])
    expect(await contentOf(get('/orders'))).toEqual([
      403,
      expect.objectContaining({ code: 'route_not_declared' }),
    ])
  })
})

describe('a batch of procedures', () => {
  test('is one request to the policy, and one check each with checkIntent', async () => {
    const scopes: Record<string, string> = { 'orders.read': 'read', 'orders.delete': 'delete' }
    const app = express().use(forExpress.ajwt(policy({ 'GET /rpc/*': { scope: 'read' } })))
    app.get('/rpc/:names', async (req, res) => {
      const names = req.params.names.split(',')
      const denials = await Promise.all(
        names.map((name) => forExpress.checkIntent(req, { scope: scopes[name] as string })),
      )
      res.json({ codes: denials.map((denial) => denial?.code ?? 'ok') })
    })
    const path = '/rpc/orders.read,orders.delete'
    const answer = fetch(`${await serve(app)}${path}?batch=1`, { headers: headers(path, 'read') })
    expect(await contentOf(answer)).toEqual([200, { codes: ['ok', 'scope_insufficient'] }])
  })
})

describe('a WebSocket upgrade', () => {
  const upgrade = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' }

  /** The status that the upgrade is answered with. */
  async function ask(port: number, more: Record<string, string> = {}): Promise<number | undefined> {
    const request = httpRequest({ port, path: '/ws', headers: { ...upgrade, ...more } }).end()
    return new Promise((resolve, reject) => {
      request.on('error', reject)
      request.on('response', (response) => resolve(response.statusCode))
      request.on('upgrade', (response: IncomingMessage, socket) => {
        socket.destroy()
        resolve(response.statusCode)
      })
    })
  }

  const guarded = policy({ 'GET /ws': { scope: 'read' } })

  test('passes no middleware in Express', async () => {
    let asked = 0
    const app = express().use((_req, _res, next) => next(void asked++), forExpress.ajwt(guarded))
    const server = createServer(app).listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    server.on('upgrade', (_request, socket) =>
      socket.end('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n'),
    )
    expect([await ask((server.address() as AddressInfo).port), asked]).toEqual([101, 0])
  })

  test('is a GET to ajwt in Hono, under @hono/node-server 2', async () => {
    const app = new Hono().use(forHono.ajwt(guarded))
    app.get('/ws', upgradeWebSocket(() => ({})) as never)
    /** Of a WebSocket server, what the host uses. */
    const sockets = Object.assign(new EventEmitter(), {
      options: { noServer: true },
      close() {},
      handleUpgrade(_request: unknown, socket: { end(text: string): void }) {
        socket.end('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n')
      },
    })
    const server = createAdaptorServer({ fetch: app.fetch, websocket: { server: sockets as never } })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const { port } = server.address() as AddressInfo
    expect(await ask(port)).toBe(401)
    expect(await ask(port, headers('/ws', 'read'))).toBe(101)
  })
})
