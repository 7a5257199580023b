import type { RequestListener } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import express, { type ErrorRequestHandler } from 'express'
import express4 from 'express4'
import { Hono } from 'hono'
import { HTTPException } from 'hono/http-exception'
import Koa from 'koa'
import request from 'supertest'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { AUDIENCE, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import * as forExpress from '../../../middleware/express.js'
import * as forHono from '../../../middleware/hono.js'
import * as forKoa from '../../../middleware/koa.js'
import type { Policy } from '../../../src/index.js'

const policy: Policy = {
  issuer: { url: ISSUER, jwks: issuerJwks() },
  audience: AUDIENCE,
  routes: { 'GET /orders': { scope: 'orders:read' } },
}

async function get(
  listener: RequestListener,
): Promise<{ status: number; body: string; challenge: string | null }> {
  const { status, text, headers } = await request(listener).get('/orders')
  return { status, body: text, challenge: headers['www-authenticate'] ?? null }
}

const usual = {
  status: 401,
  body: expect.stringContaining('credentials_missing'),
  challenge: expect.stringMatching(/^DPoP /),
}

describe.each([
  ['Express 5', express],
  ['Express 4', express4],
])('onDenied on %s', (_, makeApp) => {
  const handler = vi.fn((_req, res) => res.send('the orders'))

  function app(onDenied: forExpress.DenialOptions['onDenied'], onError?: ErrorRequestHandler) {
    handler.mockClear()
    const made = makeApp()
    made.set('env', 'test')
    made.use(forExpress.ajwt(policy, onDenied === undefined ? {} : { onDenied }))
    made.get('/orders', handler)
    if (onError) made.use(onError)
    return made
  }

  afterEach(() => expect(handler).not.toHaveBeenCalled())

  it('answers in the app’s own way, with status and challenge in place', async () => {
    const answer = await get(app((denial, _req, res) => void res.json({ own: denial.code })))
    expect(answer).toEqual({ ...usual, body: '{"own":"credentials_missing"}' })
  })

  it('leaves the type of the answer to the app', async () => {
    const text = await request(app((denial, _req, res) => void res.send(denial.code))).get('/orders')
    expect(text.headers['content-type']).toMatch(/^text\/html/)
    const none = await request(app(() => undefined)).get('/orders')
    expect(none.headers['content-type']).toBe('application/json')
  })

  it('waits for an answer that takes its time', async () => {
    const answer = await get(
      app(async (_denial, _req, res) => {
        await new Promise((resolve) => setTimeout(resolve, 20))
        res.status(418).send('late')
      }),
    )
    expect(answer).toEqual({ ...usual, status: 418, body: 'late' })
  })

  it('hands an error to the error handlers', async () => {
    const seen: unknown[] = []
    const answer = await get(
      app(
        (denial, _req, _res, next) => next(denial),
        (error, _req, res, _next) => {
          seen.push(error)
          res.send(`handled ${error.code}`)
        },
      ),
    )
    expect(answer).toEqual({ ...usual, body: 'handled credentials_missing' })
    expect(seen).toEqual([expect.objectContaining({ outcome: 'deny', status: 401 })])
  })

  it('hands over what it throws', async () => {
    const fail = () => {
      throw new Error('broken')
    }
    const answer = await get(app(fail, (error, _req, res, _next) => void res.send(error.message)))
    expect(answer).toEqual({ ...usual, body: 'broken' })
  })

  it.each([undefined, null, false, 0, '', 'route', 'router'])('lets nothing in by next(%j)', async (word) => {
    expect(await get(app((_denial, _req, _res, next) => next(word)))).toEqual(usual)
  })

  it('lets nothing in by doing nothing', async () => {
    expect(await get(app(() => undefined))).toEqual(usual)
    expect(await get(app(async () => {}))).toEqual(usual)
  })
})

describe('onDenied on Koa', () => {
  const handler = vi.fn()

  function app(onDenied: forKoa.DenialOptions['onDenied'], outer?: Koa.Middleware) {
    const made = new Koa()
    made.silent = true
    if (outer) made.use(outer)
    made.use(forKoa.ajwt(policy, onDenied === undefined ? {} : { onDenied }))
    made.use(handler)
    return made.callback()
  }

  afterEach(() => expect(handler).not.toHaveBeenCalled())

  it('answers in the app’s own way, or as usual', async () => {
    const own = await get(
      app(async (denial, ctx) => {
        ctx.body = `own ${denial.code}`
      }),
    )
    expect(own).toEqual({ ...usual, body: 'own credentials_missing' })
    expect(await get(app(() => undefined))).toEqual(usual)
  })

  it('leaves the type of the answer to the app', async () => {
    const own = app((denial, ctx) => {
      ctx.body = denial.code
    })
    const text = await request(own).get('/orders')
    expect(text.headers['content-type']).toMatch(/^text\/plain/)
    const none = await request(app(() => undefined)).get('/orders')
    expect(none.headers['content-type']).toBe('application/json')
  })

  it('hands what it throws to the app’s error handling', async () => {
    const outer: Koa.Middleware = async (ctx, next) => {
      try {
        await next()
      } catch (error) {
        ctx.status = 409
        ctx.body = (error as Error).message
      }
    }
    const answer = await get(app((denial, ctx) => ctx.throw(denial.status, `own ${denial.code}`), outer))
    expect(answer).toMatchObject({ status: 409, body: 'own credentials_missing' })
    expect((await get(app((denial, ctx) => ctx.throw(denial.status)))).status).toBe(401)
  })
})

describe('onDenied on Hono', () => {
  const handler = vi.fn((c) => c.text('the orders'))

  function app(onDenied: NonNullable<forHono.DenialOptions['onDenied']>) {
    const made = new Hono()
    made.onError((error, c) => c.text(error.message, error instanceof HTTPException ? error.status : 500))
    made.use(forHono.ajwt(policy, { onDenied }))
    made.get('/orders', handler)
    return getRequestListener(made.fetch)
  }

  afterEach(() => expect(handler).not.toHaveBeenCalled())

  it('answers in the app’s own way, or as usual', async () => {
    const own = await get(app((denial, c) => c.json({ own: denial.code }, 401)))
    expect(own).toEqual({ ...usual, body: '{"own":"credentials_missing"}' })
    const later = await get(app(async (denial, c) => c.json({ later: denial.code }, 401)))
    expect(later).toEqual({ ...usual, body: '{"later":"credentials_missing"}' })
    expect(await get(app(() => undefined))).toEqual(usual)
    expect(await get(app((async () => 'no response') as never))).toEqual(usual)
  })

  it('hands what it throws to app.onError', async () => {
    const answer = await get(
      app((denial) => {
        throw new HTTPException(403, { message: denial.code })
      }),
    )
    expect(answer).toMatchObject({ status: 403, body: 'credentials_missing' })
  })
})
