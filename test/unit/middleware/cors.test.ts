import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import fastifyCors from '@fastify/cors'
import { getRequestListener } from '@hono/node-server'
import koaCors from '@koa/cors'
import KoaRouter from '@koa/router'
import cors from 'cors'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import { cors as honoCors } from 'hono/cors'
import Koa from 'koa'
import { afterEach, describe, expect, it } from 'vitest'
import { AUDIENCE, createKit, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import * as forExpress from '../../../middleware/express.js'
import * as forFastify from '../../../middleware/fastify.js'
import * as forHono from '../../../middleware/hono.js'
import * as forKoa from '../../../middleware/koa.js'
import type { Policy } from '../../../src/index.js'
import { fastifyListener } from '../../support/fastify.js'

const origin = 'https://agents.example.com'
const exposed = ['WWW-Authenticate', 'DPoP-Nonce']
const allowed = ['Authorization', 'DPoP']

/** Apps with a CORS helper before or behind the middleware, as their documentation has it. */
const apps: Record<string, (policy: Policy, order: 'before' | 'behind') => RequestListener> = {
  Express: (policy, order) => {
    const app = express()
    const helper = cors({ origin, exposedHeaders: exposed, allowedHeaders: allowed })
    for (const middleware of inOrder(helper, forExpress.ajwt(policy), order)) app.use(middleware)
    app.get('/orders', (_req, res) => void res.send('the orders'))
    return app
  },
  Koa: (policy, order) => {
    const app = new Koa()
    const helper = koaCors({
      origin,
      exposeHeaders: exposed,
      allowHeaders: allowed,
      keepHeadersOnError: true,
    })
    for (const middleware of inOrder(helper, forKoa.ajwt(policy), order))
      app.use(middleware as Koa.Middleware)
    const router = new KoaRouter()
    router.get('/orders', (ctx) => {
      ctx.body = 'the orders'
    })
    app.use(router.routes() as unknown as Koa.Middleware)
    return app.callback()
  },
  Hono: (policy, order) => {
    const app = new Hono()
    const helper = honoCors({ origin, exposeHeaders: exposed, allowHeaders: allowed })
    for (const middleware of inOrder(helper, forHono.ajwt(policy) as never, order)) app.use(middleware)
    app.get('/orders', (c) => c.text('the orders'))
    return getRequestListener(app.fetch)
  },
  Fastify: (policy, order) => {
    const app = fastify()
    const helper = () =>
      app.register(fastifyCors, { origin, exposedHeaders: exposed.join(), allowedHeaders: allowed })
    const gate = () => app.register(forFastify.ajwt, { policy })
    for (const register of inOrder(helper, gate, order)) register()
    app.get('/orders', () => 'the orders')
    return fastifyListener(app)
  },
}

function inOrder<T>(helper: T, middleware: T, order: 'before' | 'behind'): T[] {
  return order === 'before' ? [helper, middleware] : [middleware, helper]
}

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

async function start(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/orders`
}

describe.each(Object.entries(apps))('a browser agent and %s', (_, makeApp) => {
  const policy: Policy = {
    issuer: { url: ISSUER, jwks: issuerJwks() },
    audience: AUDIENCE,
    proof: { nonce: 'required' },
    routes: { 'GET /orders': { scope: 'orders:read' } },
  }
  const preflight = {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'GET',
      'access-control-request-headers': 'authorization,dpop',
    },
  }

  it('gets past its preflight, and reads a refusal, with the helper before the middleware', async () => {
    const url = await start(makeApp(policy, 'before'))
    const asked = await fetch(url, preflight)
    expect(asked.status).toBe(204)
    expect(asked.headers.get('access-control-allow-origin')).toBe(origin)
    const refused = await fetch(url, { headers: { origin } })
    expect(refused.status).toBe(401)
    expect(refused.headers.get('access-control-allow-origin')).toBe(origin)
    expect(refused.headers.get('access-control-expose-headers')).toBe(exposed.join(','))
    expect(refused.headers.get('www-authenticate')).toMatch(/^DPoP /)
    expect(refused.headers.get('dpop-nonce')).toMatch(/^.{43}$/)
  })

  it('cannot read a refusal with the helper behind it, and needs the policy for its preflight', async () => {
    const closed = await start(makeApp(policy, 'behind'))
    expect((await fetch(closed, preflight)).status).toBe(401)
    const url = await start(makeApp({ ...policy, preflight: true }, 'behind'))
    expect((await fetch(url, preflight)).status).toBe(204)
    // No credentials on an OPTIONS that is no preflight: nothing passes.
    expect((await fetch(url, { method: 'OPTIONS', headers: { origin } })).status).toBe(401)
    const refused = await fetch(url, { headers: { origin } })
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, null])
  })

  it('is let in either way, and told the nonce', async () => {
    const kit = createKit(Date.now())
    for (const order of ['before', 'behind'] as const) {
      const url = await start(makeApp({ ...policy, preflight: true }, order))
      const nonce = (await fetch(url)).headers.get('dpop-nonce') ?? ''
      const { headers } = kit.call({ path: '/orders', proof: { claims: { nonce } } })
      const answer = await fetch(url, { headers: { ...Object.fromEntries(headers), origin } })
      expect([answer.status, await answer.text()]).toEqual([200, 'the orders'])
      expect(answer.headers.get('access-control-allow-origin')).toBe(origin)
      expect(answer.headers.get('dpop-nonce')).toBe(nonce)
    }
  })
})
