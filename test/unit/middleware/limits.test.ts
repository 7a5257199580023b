import type { RequestListener } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import KoaRouter from '@koa/router'
import express from 'express'
import express4 from 'express4'
import fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import fastify4 from 'fastify4'
import { Hono } from 'hono'
import Koa from 'koa'
import Koa2 from 'koa2'
import { describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../../fixtures/conformance/policy.js'
import { createKit, type Kit } from '../../../fixtures/kit.js'
import * as forExpress from '../../../middleware/express.js'
import * as forFastify from '../../../middleware/fastify.js'
import * as forHono from '../../../middleware/hono.js'
import * as forKoa from '../../../middleware/koa.js'
import { createVerifier, type Limit, type Policy, type Verifier } from '../../../src/index.js'
import { ask } from '../../support/ask.js'
import { fastifyListener } from '../../support/fastify.js'

// POST /refunds has a limit of its route, and its handler one of its own, by the amount in the body. The
// handler answers with the status that the body asks for.

const amount = (body: unknown) => (body as { amount: number }).amount
const sums = { per: 'token', max: 100, name: 'refunds', skipServerErrors: true } as const

function expressApp(app: express.Express, verifier: Verifier): RequestListener {
  app.use(forExpress.ajwt(verifier), express.json())
  app.post(
    '/refunds',
    forExpress.requireIntent({ limit: { ...sums, cost: (req) => amount(req.body) } }),
    (req, res) => {
      res.status(req.body.status).send('handler')
    },
  )
  return app
}

function koaApp(app: Koa, verifier: Verifier): RequestListener {
  app.use(forKoa.ajwt(verifier))
  const router = new KoaRouter()
  const body = async (ctx: Koa.Context) => JSON.parse(await textOf(ctx.req))
  router.use(async (ctx, next) => {
    ctx.state.body = await body(ctx)
    return next()
  })
  const cost = (ctx: Koa.Context) => amount(ctx.state.body)
  const rule = forKoa.requireIntent({ limit: { ...sums, cost } }) as Koa.Middleware
  router.post('/refunds', rule as never, (ctx) => {
    // As an error, which takes all fields off the response that it does not name.
    if (ctx.state.body.status >= 500) ctx.throw(ctx.state.body.status, 'handler', { expose: true })
    ctx.status = ctx.state.body.status
    ctx.body = 'handler'
  })
  app.use(router.routes() as unknown as Koa.Middleware)
  app.silent = true
  return app.callback()
}

async function textOf(stream: AsyncIterable<unknown>): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += String(chunk)
  return text
}

function honoApp(verifier: Verifier): RequestListener {
  const app = new Hono<forHono.AjwtEnv>()
  app.use(forHono.ajwt(verifier))
  const rule = forHono.requireIntent({
    limit: { ...sums, cost: async (c) => amount(await c.req.json()) },
  })
  app.post('/refunds', rule, async (c) => c.text('handler', (await c.req.json()).status))
  return getRequestListener(app.fetch)
}

function fastifyApp(app: ReturnType<typeof fastify>, verifier: Verifier): RequestListener {
  app.register(forFastify.ajwt, { verifier })
  const cost = (request: FastifyRequest) => amount(request.body)
  app.post(
    '/refunds',
    { preHandler: forFastify.requireIntent({ limit: { ...sums, cost } }) },
    (request: FastifyRequest, reply: FastifyReply) => {
      reply.code((request.body as { status: number }).status).send('handler')
    },
  )
  return fastifyListener(app)
}

const apps: Record<string, (verifier: Verifier) => RequestListener> = {
  'Express 5': (verifier) => expressApp(express(), verifier),
  'Express 4': (verifier) => expressApp(express4(), verifier),
  'Koa 3': (verifier) => koaApp(new Koa(), verifier),
  'Koa 2': (verifier) => koaApp(new Koa2(), verifier),
  'Hono 4': honoApp,
  'Fastify 5': (verifier) => fastifyApp(fastify(), verifier),
  'Fastify 4': (verifier) => fastifyApp(fastify4(), verifier),
}

function verifierWith(kit: Kit, limit: Limit): Verifier {
  const policy: Policy = { ...defaultPolicy(), routes: { 'POST /refunds': { limit } } }
  return createVerifier(policy, { now: () => kit.now })
}

describe.each(Object.entries(apps))('limits in %s', (_, start) => {
  const client = (limit: Limit) => {
    const kit = createKit()
    const app = start(verifierWith(kit, limit))
    const token = kit.token()
    return (body: object) => {
      const headers = [['content-type', 'application/json']] as const
      return ask(
        app,
        kit.call({ token, method: 'POST', path: '/refunds', headers, body: JSON.stringify(body) }),
      )
    }
  }

  test('are those of the route and of the handler, in the fields of one response', async () => {
    const post = client({ per: 'token', max: 3, window: 60, name: 'calls' })
    const first = await post({ amount: 60, status: 200 })
    expect([first.status, first.content]).toEqual([200, 'handler'])
    expect(first.header('ratelimit')).toMatch(/^"calls";r=2;t=60, "refunds";r=40;t=\d+$/)
    expect(first.header('ratelimit-policy')).toBe('"calls";q=3;w=60, "refunds";q=100')
    const refused = await post({ amount: 41, status: 200 })
    expect([refused.status, refused.content]).toEqual([429, 'limit_exceeded'])
    expect(refused.header('ratelimit')).toMatch(/^"refunds";r=40;t=\d+$/)
    expect(refused.header('retry-after')).toMatch(/^[1-9]\d*$/)
    expect((await post({ amount: 40, status: 201 })).header('ratelimit')).toMatch(
      /^"calls";r=0;t=60, "refunds";r=0;/,
    )
    const late = await post({ amount: 0, status: 200 })
    expect([late.status, late.header('ratelimit')]).toEqual([429, '"calls";r=0;t=60'])
  })

  test('are given back when the handler answers with a 5xx status, where the limit says so', async () => {
    const post = client({ per: 'token', max: 4, window: 60, name: 'calls' })
    for (const status of [500, 503]) {
      const failed = await post({ amount: 100, status })
      expect([failed.status, failed.header('ratelimit')?.split(', ')[1]]).toEqual([
        status,
        expect.stringMatching(/^"refunds";r=0/),
      ])
    }
    expect((await post({ amount: 100, status: 404 })).status).toBe(404)
    const refused = await post({ amount: 1, status: 200 })
    expect([refused.status, refused.header('ratelimit')?.split(';')[0]]).toEqual([429, '"refunds"'])
    // The limit of the route does not say so.
    expect((await post({ amount: 1, status: 200 })).header('ratelimit')).toBe('"calls";r=0;t=60')
  })

  test('of the route are given back, too', async () => {
    const post = client({ per: 'token', max: 1, window: 60, name: 'calls', skipServerErrors: true })
    expect((await post({ amount: 1, status: 500 })).status).toBe(500)
    expect((await post({ amount: 1, status: 200 })).status).toBe(200)
    expect((await post({ amount: 1, status: 200 })).status).toBe(429)
  })

  test('refuse an amount that is no number', async () => {
    const post = client({ per: 'token', max: 4, window: 60, name: 'calls' })
    for (const wrong of ['1', -1, null, [1]]) {
      const { status, content } = await post({ amount: wrong, status: 200 })
      expect([wrong, status, content]).toEqual([wrong, 403, 'argument_not_allowed'])
    }
  })
})

test('a limit that a route and its handler name counts a request once, by its largest cost', async () => {
  const kit = createKit()
  const limit = { per: 'token', max: 10, name: 'units' } as const
  const app = express().use(
    forExpress.ajwt(verifierWith(kit, limit)),
    forExpress.ajwt(verifierWith(kit, limit)),
  )
  app.post(
    '/refunds',
    forExpress.requireIntent({ limit: { ...limit, cost: 4 } }),
    (_req, res) => void res.send('handler'),
  )
  const token = kit.token()
  const post = () => ask(app, kit.call({ token, method: 'POST', path: '/refunds' }))
  // Two verifiers with a store each: the second field is of the other counter.
  expect((await post()).header('ratelimit')).toMatch(/"units";r=6;/)
  expect((await post()).header('ratelimit')).toMatch(/"units";r=2;/)
  expect((await post()).status).toBe(429)
})
