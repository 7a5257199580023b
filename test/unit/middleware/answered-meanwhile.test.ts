import type { RequestListener } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import express from 'express'
import express4 from 'express4'
import fastify from 'fastify'
import fastify4 from 'fastify4'
import { Hono } from 'hono'
import { timeout } from 'hono/timeout'
import Koa from 'koa'
import Koa2 from 'koa2'
import supertest from 'supertest'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AUDIENCE, createKit, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import * as forExpress from '../../../middleware/express.js'
import * as forFastify from '../../../middleware/fastify.js'
import * as forHono from '../../../middleware/hono.js'
import * as forKoa from '../../../middleware/koa.js'
import { createVerifier, type ReplayStore, type RouteRule, type VerifierOptions } from '../../../src/index.js'
import { fastifyListener } from '../../support/fastify.js'
import { listen } from '../../support/listen.js'

const policy = {
  issuer: { url: ISSUER, jwks: issuerJwks() },
  audience: AUDIENCE,
  proof: { nonce: 'required' },
  routes: { 'GET /orders/:id': 'authenticated' },
} as const
const nonceSecret = 'a secret of sixteen bytes or more'

/** The observations on an app whose timeout answers 503 while the verifier waits. */
interface Seen {
  handled: number
  errors: unknown[]
}

type MakeApp = (options: VerifierOptions, rule: RouteRule | undefined, seen: Seen) => RequestListener

/** The answer of something in front, a while after the request has come, where nothing has answered yet. */
const answerAfter = 50

const makeExpress =
  (make: () => express.Express): MakeApp =>
  (options, rule, seen) => {
    const app = make()
    app.use((_req, res, next) => {
      setTimeout(() => {
        if (!res.headersSent) res.status(503).end('timeout')
      }, answerAfter)
      next()
    })
    app.use(forExpress.ajwt(policy, options))
    if (rule) app.use('/orders/:id', forExpress.requireIntent(rule))
    app.use((_req, res) => {
      seen.handled++
      res.end('handler')
    })
    app.use(((error, _req, _res, _next) => {
      seen.errors.push(error)
    }) satisfies express.ErrorRequestHandler)
    return app
  }

const makeKoa =
  (Framework: typeof Koa): MakeApp =>
  (options, rule, seen) => {
    const app = new Framework()
    app.on('error', (error) => void seen.errors.push(error))
    app.use((ctx, next) => {
      setTimeout(() => {
        if (ctx.headerSent) return
        ctx.respond = false
        ctx.res.writeHead(503).end('timeout')
      }, answerAfter)
      return next()
    })
    app.use(forKoa.ajwt(policy, options))
    if (rule) app.use(forKoa.requireIntent(rule))
    app.use((ctx) => {
      seen.handled++
      ctx.body = 'handler'
    })
    return app.callback()
  }

const makeHono: MakeApp = (options, rule, seen) => {
  const app = new Hono()
  app.use(timeout(answerAfter))
  app.onError((error, c) => {
    if (!('status' in error && error.status === 504)) seen.errors.push(error)
    return c.text('timeout', 503)
  })
  app.use(forHono.ajwt(policy, options))
  if (rule) app.use(forHono.requireIntent(rule))
  app.all('*', (c) => {
    seen.handled++
    return c.text('handler')
  })
  return getRequestListener(app.fetch)
}

const makeFastify =
  (make: typeof fastify): MakeApp =>
  (options, rule, seen) => {
    const app = make()
    app.addHook('onRequest', async (_request, reply) => {
      setTimeout(() => {
        if (!reply.sent) reply.code(503).send('timeout')
      }, answerAfter)
    })
    app.register(forFastify.ajwt, { policy, ...options })
    app.setErrorHandler((error) => void seen.errors.push(error))
    const preHandler = rule === undefined ? [] : [forFastify.requireIntent(rule)]
    app.get('/orders/:id', { preHandler }, () => {
      seen.handled++
      return 'handler'
    })
    return fastifyListener(app)
  }

const apps: Record<string, MakeApp> = {
  'Express 5': makeExpress(express),
  'Express 4': makeExpress(express4),
  'Koa 3': makeKoa(Koa),
  'Koa 2': makeKoa(Koa2),
  'Hono 4': makeHono,
  'Fastify 5': makeFastify(fastify),
  'Fastify 4': makeFastify(fastify4),
}

const slow = (isNew: boolean): ReplayStore => ({
  remember: () => new Promise((resolve) => setTimeout(() => resolve(isNew), 4 * answerAfter)),
})

/** New, but late for the second thing it is asked: the token of a rule with `once`. */
function slowForRule(): ReplayStore {
  const late = slow(false)
  let asked = 0
  return { remember: (key, ttl) => (asked++ === 0 ? true : late.remember(key, ttl)) }
}

const unhandled: unknown[] = []
const onUnhandled = (error: unknown) => void unhandled.push(error)
beforeAll(() => void process.on('unhandledRejection', onUnhandled))
const closing: (() => void)[] = []
afterAll(() => {
  process.off('unhandledRejection', onUnhandled)
  for (const close of closing) close()
})

// At the same time: each of them waits for half a second.
describe.concurrent.each(Object.entries(apps))(
  'a request that a timeout answers on %s while the verifier waits',
  (_, make) => {
    test.each<[string, () => ReplayStore, RouteRule | undefined]>([
      ['lets it in', () => slow(true), undefined],
      ['refuses it', () => slow(false), undefined],
      ['refuses it at requireIntent', slowForRule, { once: true }],
    ])('is given up in silence where the verifier then %s', async (_outcome, store, rule) => {
      const seen: Seen = { handled: 0, errors: [] }
      const options = { nonceSecret, replayStore: store() }
      const server = await listen(make(options, rule, seen))
      closing.push(server.close)
      // From another verifier with the same secret: the app may answer a request for it too early.
      const { method, url, headers: first } = createKit(Date.now()).call()
      const denial = await createVerifier(policy, { nonceSecret }).verify({
        method,
        url,
        headers: Object.fromEntries(first),
      })
      const nonce = 'headers' in denial ? denial.headers['dpop-nonce'] : undefined
      const { headers } = createKit(Date.now()).call({ proof: { claims: { nonce } } })
      await supertest(server.origin).get('/orders/42').set(Object.fromEntries(headers)).expect(503, 'timeout')
      await new Promise((resolve) => setTimeout(resolve, 8 * answerAfter))
      expect(unhandled).toEqual([])
      expect(seen).toEqual({ handled: 0, errors: [] })
    })
  },
)
