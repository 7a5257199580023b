import type { RequestListener } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { bodyParser } from '@koa/bodyparser'
import KoaRouter from '@koa/router'
import express, { type Request } from 'express'
import express4 from 'express4'
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import fastifyRawBody from 'fastify-raw-body'
import fastify4 from 'fastify4'
import { Hono } from 'hono'
import Koa from 'koa'
import Koa2 from 'koa2'
import * as forExpress from '../../../middleware/express.js'
import * as forFastify from '../../../middleware/fastify.js'
import * as forHono from '../../../middleware/hono.js'
import * as forKoa from '../../../middleware/koa.js'
import type { HandlerRule, Verifier } from '../../../src/index.js'
import { fastifyListener } from '../fastify.js'

// POST and GET /refunds, with the body parser of the framework in front of requireIntent. The handler answers
// with the body and the query that it sees, as JSON: { body, query }.

export interface AppOptions {
  /** Whether the app keeps the bytes of the content, where the framework does not. Default true. */
  readonly keepsBytes?: boolean
  /** Default true. */
  readonly parses?: boolean
}

export type MakeApp = (
  verifier: Verifier,
  rule: HandlerRule<unknown>,
  options?: AppOptions,
) => RequestListener

function expressApp(make: typeof express): MakeApp {
  return (verifier, rule, { keepsBytes = true, parses = true } = {}) => {
    const app = make()
    app.use(forExpress.ajwt(verifier))
    const verify = (req: object, _res: unknown, rawBody: Buffer) => void Object.assign(req, { rawBody })
    const kept = keepsBytes ? { verify } : {}
    if (parses) app.use(make.json(kept), make.urlencoded({ extended: true, ...kept }))
    app.all('/refunds', forExpress.requireIntent(rule), (req: Request, res) => {
      res.json({ body: req.body, query: req.query })
    })
    return app
  }
}

function koaApp(make: typeof Koa): MakeApp {
  return (verifier, rule, { parses = true } = {}) => {
    const app = new make()
    app.use(forKoa.ajwt(verifier))
    if (parses) app.use(bodyParser())
    const router = new KoaRouter()
    router.all('/refunds', forKoa.requireIntent(rule) as never, (ctx) => {
      ctx.body = { body: (ctx.request as { body?: unknown }).body, query: ctx.query }
    })
    app.use(router.routes() as unknown as Koa.Middleware)
    app.silent = true
    return app.callback()
  }
}

const honoApp: MakeApp = (verifier, rule) => {
  const app = new Hono<forHono.AjwtEnv>()
  app.use(forHono.ajwt(verifier))
  app.all('/refunds', forHono.requireIntent(rule), async (c) => {
    const type = c.req.header('content-type') ?? ''
    const body = type.includes('form') ? await c.req.parseBody() : await c.req.json().catch(() => undefined)
    return c.json({ body, query: c.req.query() })
  })
  return getRequestListener(app.fetch)
}

function fastifyApp(make: () => FastifyInstance, hasRawBody: boolean): MakeApp {
  return (verifier, rule, { keepsBytes = true, parses = true } = {}) => {
    const app = make()
    app.register(forFastify.ajwt, { verifier })
    if (!parses) {
      app.removeAllContentTypeParsers()
      app.addContentTypeParser('*', (_request, _payload, done) => done(null))
    } else if (keepsBytes && hasRawBody) app.register(fastifyRawBody, { global: true, encoding: false })
    else if (keepsBytes) {
      app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, bytes, done) => {
        Object.assign(request, { rawBody: bytes })
        app.getDefaultJsonParser('error', 'error')(request, String(bytes), done)
      })
    }
    app.register(async (scope) => {
      const options = { preHandler: forFastify.requireIntent(rule) }
      const answer = (request: FastifyRequest) => ({ body: request.body, query: request.query })
      scope.all('/refunds', options, async (request) => answer(request))
    })
    return fastifyListener(app)
  }
}

export const apps: Readonly<Record<string, MakeApp>> = {
  'Express 5': expressApp(express),
  'Express 4': expressApp(express4),
  'Koa 3': koaApp(Koa),
  'Koa 2': koaApp(Koa2 as unknown as typeof Koa),
  Hono: honoApp,
  'Fastify 5': fastifyApp(() => fastify(), true),
  'Fastify 4': fastifyApp(() => fastify4() as unknown as FastifyInstance, false),
}
