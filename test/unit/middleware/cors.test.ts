import type { RequestListener } from 'node:http'
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
import supertest from 'supertest'
import { describe, expect, it } from 'vitest'
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

describe.each(Object.entries(apps))('a browser agent and %s', (_, makeApp) => {
  const policy: Policy = {
    issuer: { url: ISSUER, jwks: issuerJwks() },
    audience: AUDIENCE,
    proof: { nonce: 'required' },
    routes: { 'GET /orders': { scope: 'orders:read' } },
  }
  const preflight = (app: RequestListener) =>
    supertest(app).options('/orders').set({
      origin,
      'access-control-request-method': 'GET',
      'access-control-request-headers': 'authorization,dpop',
    })
  const get = (app: RequestListener, headers: Record<string, string> = { origin }) =>
    supertest(app).get('/orders').set(headers)

  it('gets past its preflight, and reads a refusal, with the helper before the middleware', async () => {
    const app = makeApp(policy, 'before')
    const asked = await preflight(app).expect(204)
    expect(asked.headers['access-control-allow-origin']).toBe(origin)
    const refused = await get(app).expect(401)
    expect(refused.headers['access-control-allow-origin']).toBe(origin)
    expect(refused.headers['access-control-expose-headers']).toBe(exposed.join(','))
    expect(refused.headers['www-authenticate']).toMatch(/^DPoP /)
    expect(refused.headers['dpop-nonce']).toMatch(/^.{43}$/)
  })

  it('cannot read a refusal with the helper behind it, and needs the policy for its preflight', async () => {
    await preflight(makeApp(policy, 'behind')).expect(401)
    const app = makeApp({ ...policy, preflight: true }, 'behind')
    await preflight(app).expect(204)
    // An OPTIONS request that is no preflight needs credentials.
    await supertest(app).options('/orders').set({ origin }).expect(401)
    const refused = await get(app).expect(401)
    expect(refused.headers).not.toHaveProperty('access-control-allow-origin')
  })

  it('is allowed either way, and gets the nonce', async () => {
    const kit = createKit(Date.now())
    for (const order of ['before', 'behind'] as const) {
      const app = makeApp({ ...policy, preflight: true }, order)
      const nonce = (await get(app, {})).headers['dpop-nonce']
      const { headers } = kit.call({ path: '/orders', proof: { claims: { nonce } } })
      const answer = await get(app, { ...Object.fromEntries(headers), origin }).expect(200, 'the orders')
      expect(answer.headers['access-control-allow-origin']).toBe(origin)
      // Another one if ten seconds have just ended.
      expect(answer.headers['dpop-nonce']).toMatch(/^[\w-]{43}$/)
    }
  })
})
