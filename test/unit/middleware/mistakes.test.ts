import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import express from 'express'
import express4 from 'express4'
import fastify from 'fastify'
import fastify4 from 'fastify4'
import { Hono } from 'hono'
import Koa from 'koa'
import Koa2 from 'koa2'
import request from 'supertest'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { AUDIENCE, createKit, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import * as forExpress from '../../../middleware/express.js'
import * as forFastify from '../../../middleware/fastify.js'
import * as forHono from '../../../middleware/hono.js'
import * as forKoa from '../../../middleware/koa.js'
import { createVerifier, memoryRevocations, type Policy, PolicyError } from '../../../src/index.js'
import { fastifyListener } from '../../support/fastify.js'

const policy: Policy = {
  issuer: { url: ISSUER, jwks: issuerJwks() },
  audience: AUDIENCE,
  routes: { 'GET /orders/:id': 'authenticated' },
}

/** The warnings of a test: code and message. */
let warnings: [string | undefined, string][]
const onWarning = (warning: Error & { code?: string }) => void warnings.push([warning.code, warning.message])
const closing: (() => void)[] = []
beforeEach(() => {
  warnings = []
  process.on('warning', onWarning)
})
afterEach(() => {
  process.off('warning', onWarning)
  for (const close of closing.splice(0)) close()
})

async function get(listener: RequestListener): Promise<{ status: number; code?: string }> {
  const { headers } = createKit(Date.now()).call()
  const { status, text } = await request(listener).get('/orders/42').set(Object.fromEntries(headers))
  return { status, code: text.startsWith('{') ? JSON.parse(text).code : undefined }
}

type Wrong = 'ajwt' | 'requireIntent'

type OnError = (error: unknown) => void

/** Apps whose middleware was handed over without a call, and what their error handling is told. */
const uncalled: Record<string, (name: Wrong, onError: OnError) => RequestListener> = {
  'Express 5': (name, onError) => uncalledExpress(express(), name, onError),
  'Express 4': (name, onError) => uncalledExpress(express4(), name, onError),
  'Koa 3': (name, onError) => uncalledKoa(new Koa(), name, onError),
  'Koa 2': (name, onError) => uncalledKoa(new Koa2(), name, onError),
  'Hono 4': (name, onError) => {
    const { ajwt, requireIntent } = forHono
    const app = new Hono().use({ ajwt, requireIntent }[name] as never)
    app.onError((error, c) => {
      onError(error)
      return c.text('', 500)
    })
    return getRequestListener(app.fetch)
  },
}

function uncalledExpress(app: express.Express, name: Wrong, onError: OnError): RequestListener {
  const { ajwt, requireIntent } = forExpress
  const handler: express.ErrorRequestHandler = (error, _req, res, _next) => {
    onError(error)
    res.status(500).end()
  }
  return app.use({ ajwt, requireIntent }[name] as never).use(handler)
}

function uncalledKoa(app: Koa, name: Wrong, onError: OnError): RequestListener {
  const { ajwt, requireIntent } = forKoa
  app.on('error', onError)
  return app.use({ ajwt, requireIntent }[name] as never).callback()
}

describe.each(Object.entries(uncalled))('on %s', (_, make) => {
  test.each<[Wrong, string]>([
    ['ajwt', 'Write app.use(ajwt(policy))'],
    ['requireIntent', 'Write requireIntent(rule)'],
  ])('app.use(%s) without a call is an error that says so', async (name, advice) => {
    const errors: unknown[] = []
    expect(await get(make(name, (error) => errors.push(error)))).toMatchObject({ status: 500 })
    expect(errors).toEqual([expect.any(PolicyError)])
    expect((errors[0] as Error).message).toContain(`${name} was handed to the framework without being called`)
    expect((errors[0] as Error).message).toContain(advice)
  })
})

const withoutAjwt: Record<string, (rule: { mode?: 'observe' }) => RequestListener> = {
  'Express 5': (rule) =>
    express().use(forExpress.requireIntent(rule), (_req, res) => void res.end('handler')),
  'Express 4': (rule) =>
    express4().use(forExpress.requireIntent(rule), (_req, res) => void res.end('handler')),
  Koa: (rule) =>
    new Koa()
      .use(forKoa.requireIntent(rule))
      .use((ctx) => {
        ctx.body = 'handler'
      })
      .callback(),
  Hono: (rule) =>
    getRequestListener(new Hono().use(forHono.requireIntent(rule)).all('*', (c) => c.text('handler')).fetch),
  'Fastify 5': (rule) => ruleOnFastify(fastify(), rule),
  'Fastify 4': (rule) => ruleOnFastify(fastify4(), rule),
}

function ruleOnFastify(app: ReturnType<typeof fastify>, rule: { mode?: 'observe' }): RequestListener {
  app.get('/orders/:id', { preHandler: forFastify.requireIntent(rule) }, () => 'handler')
  return fastifyListener(app)
}

describe.each(Object.entries(withoutAjwt))('requireIntent without ajwt on %s', (_, make) => {
  test('answers 503, and warns once', async () => {
    const app = make({})
    expect(await get(app)).toEqual({ status: 503, code: 'internal_error' })
    expect(await get(app)).toEqual({ status: 503, code: 'internal_error' })
    const told = warnings.filter(([code]) => code === 'AJWT_NOT_MOUNTED')
    expect(told).toEqual([['AJWT_NOT_MOUNTED', expect.stringContaining('mount ajwt(policy) in front of it')]])
  })

  test('goes on where its rule only observes, and warns', async () => {
    expect(await get(make({ mode: 'observe' }))).toEqual({ status: 200 })
    expect(warnings.map(([code]) => code)).toContain('AJWT_NOT_MOUNTED')
  })
})

describe('ajwt/express in a host that is not Express', () => {
  /** As Connect and @fastify/middie call middleware: with Node's own objects. */
  const host =
    (...stack: unknown[]): RequestListener =>
    (req, res) => {
      const run = (at: number) => (error?: unknown) => {
        if (error) return void res.writeHead(500).end(String(error))
        const middleware = stack[at] as (req: IncomingMessage, res: ServerResponse, next: unknown) => void
        middleware(Object.assign(req, { originalUrl: req.url }), res, run(at + 1))
      }
      run(0)()
    }
  const handler = (_req: IncomingMessage, res: ServerResponse) => void res.end('handler')

  test.each<[string, () => unknown]>([
    ['ajwt', () => forExpress.ajwt(policy)],
    ['requireIntent', () => forExpress.requireIntent({})],
  ])('%s answers 503, and warns which hosts it is for', async (_name, make) => {
    const app = host(make(), handler)
    expect(await get(app)).toEqual({ status: 503, code: 'internal_error' })
    expect(await get(app)).toEqual({ status: 503, code: 'internal_error' })
    const told = warnings.filter(([code]) => code === 'AJWT_WRONG_HOST')
    expect(told).toEqual([['AJWT_WRONG_HOST', expect.stringMatching(/not Express 4 or 5.*Fastify/)]])
  })
})

test.each([forExpress.ajwt, forKoa.ajwt, forHono.ajwt])(
  'options beside a verifier that has its own are a mistake',
  (ajwt) => {
    const verifier = createVerifier(policy)
    expect(() => ajwt(verifier, { revocations: memoryRevocations() })).toThrow(PolicyError)
    expect(() => ajwt(verifier, { onDenied: () => undefined })).not.toThrow()
  },
)
