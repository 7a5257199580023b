import type { RequestListener } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import express from 'express'
import express4 from 'express4'
import { Hono } from 'hono'
import { HTTPException } from 'hono/http-exception'
import Koa from 'koa'
import Koa2 from 'koa2'
import request from 'supertest'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { AUDIENCE, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import * as forExpress from '../../../middleware/express.js'
import * as forHono from '../../../middleware/hono.js'
import * as forKoa from '../../../middleware/koa.js'
import { AjwtDenial, createVerifier, type Denial, type Policy } from '../../../src/index.js'

const policy: Policy = {
  issuer: { url: ISSUER, jwks: issuerJwks() },
  audience: AUDIENCE,
  proof: { nonce: 'required' },
  routes: { 'GET /orders': { scope: 'orders:read' } },
}

const closing: (() => void)[] = []
afterEach(() => {
  vi.restoreAllMocks()
  for (const close of closing.splice(0)) close()
})

const usual = [
  401,
  expect.stringMatching(/^DPoP scope="orders:read"/),
  expect.stringMatching(/^.{43}$/),
  'no-store',
]

/** Status, challenge, nonce and cache control of the answer. */
async function get(listener: RequestListener): Promise<readonly unknown[]> {
  vi.spyOn(console, 'error').mockReturnValue(undefined)
  const { status, headers } = await request(listener).get('/orders')
  return [status, ...['www-authenticate', 'dpop-nonce', 'cache-control'].map((name) => headers[name] ?? null)]
}

describe.each([
  ['Express 5', express],
  ['Express 4', express4],
])('a denial as an error of %s', (_, make) => {
  const app = (onDenied: NonNullable<forExpress.DenialOptions['onDenied']>) =>
    make().use(forExpress.ajwt(policy, { onDenied }))

  test('is answered by the default error handler, thrown or handed to next', async () => {
    const thrown = app((denial) => {
      throw denial
    })
    expect(await get(thrown)).toEqual(usual)
    expect(await get(app((denial, _req, _res, next) => next(denial)))).toEqual(usual)
    expect(await get(app(async (denial) => Promise.reject(denial)))).toEqual(usual)
  })

  test('is an error to error handlers, also at requireIntent', async () => {
    const seen: unknown[] = []
    const onDenied: forExpress.DenialOptions['onDenied'] = (denial, _req, _res, next) => next(denial)
    const open = createVerifier({ ...policy, routes: { 'GET /orders': 'public' } })
    const made = make()
      .use(forExpress.ajwt(open))
      .use(forExpress.requireIntent({ scope: 'orders:read' }, { onDenied }))
      .use(((error, _req, _res, next) => {
        seen.push(error)
        next(error)
      }) satisfies express.ErrorRequestHandler)
    expect(await get(made)).toEqual(usual)
    expect(seen).toEqual([expect.any(AjwtDenial)])
  })
})

describe.each([
  ['Express 5', express],
  ['Express 4', express4],
])('an error handler of %s that goes on with a denied request', (_, make) => {
  test('reaches the handlers behind it without a grant, and none behind requireIntent', async () => {
    const seen: unknown[] = []
    const goOn: express.ErrorRequestHandler = (_error, _req, _res, next) => next()
    const app = make()
      .use(forExpress.ajwt(policy, { onDenied: (denial, _req, _res, next) => next(denial) }))
      .use(goOn)
      .use((req, _res, next) => {
        seen.push(req.ajwt)
        next()
      })
      .use(forExpress.requireIntent({}))
      .use((_req, res) => {
        seen.push('a guarded handler')
        res.end()
      })
    expect(await get(app)).toEqual(usual)
    expect(seen).toEqual([undefined])
  })
})

describe.each([
  ['Koa 3', Koa],
  ['Koa 2', Koa2],
])('a denial as an error of %s', (_, Framework) => {
  const app = (
    onDenied: NonNullable<forKoa.DenialOptions['onDenied']>,
    onError: (error: unknown) => void = () => {},
  ) => {
    const made = new Framework()
    made.on('error', onError)
    return made.use(forKoa.ajwt(policy, { onDenied })).callback()
  }

  test('is answered with its challenge', async () => {
    const seen: unknown[] = []
    const thrown = app(
      (denial) => {
        throw denial
      },
      (error) => seen.push(error),
    )
    // Koa itself takes Cache-Control off an error, unless the error has it.
    expect(await get(thrown)).toEqual(usual)
    expect(seen).toEqual([expect.any(AjwtDenial)])
  })

  test('and so is an error of the same status that the app makes of it, and no other', async () => {
    expect(await get(app((denial, ctx) => ctx.throw(denial.status, denial.description)))).toEqual(usual)
    const hidden = await get(app((_denial, ctx) => ctx.throw(404)))
    expect(hidden).toEqual([404, null, null, null])
  })

  test('an error of a handler keeps the nonce', async () => {
    const made = new Framework()
    made.silent = true
    const observed: Policy = { ...policy, mode: 'observe' }
    made.use(forKoa.ajwt(observed)).use((ctx) => ctx.throw(409))
    expect(await get(made.callback())).toEqual([409, null, expect.stringMatching(/^.{43}$/), 'no-store'])
  })
})

describe('a denial as an error of Hono', () => {
  const app = (
    onDenied: NonNullable<forHono.DenialOptions['onDenied']>,
    onError?: Parameters<Hono<forHono.AjwtEnv>['onError']>[0],
  ) => {
    const made = new Hono<forHono.AjwtEnv>().use(forHono.ajwt(policy, { onDenied }))
    if (onError) made.onError(onError)
    return getRequestListener(made.fetch)
  }
  const rethrow = (denial: AjwtDenial) => {
    throw denial
  }

  test('is answered by the default error handler', async () => {
    expect(await get(app(rethrow))).toEqual(usual)
    expect(await get(app(async (denial) => rethrow(denial)))).toEqual(usual)
  })

  test('reaches app.onError', async () => {
    const seen: unknown[] = []
    const answer = await get(
      app(rethrow, (error, c) => {
        seen.push(error)
        return c.text('own', (error as AjwtDenial).status as 401)
      }),
    )
    expect(answer).toEqual(usual)
    expect(seen).toEqual([expect.any(AjwtDenial)])
  })

  test.each<[string, NonNullable<forHono.DenialOptions['onDenied']>]>([
    ['made by the context', (denial, c) => c.json({ own: denial.code }, 401)],
    ['made by the context, later', async (denial, c) => c.json({ own: denial.code }, 401)],
    ['a raw one', () => new Response('own', { status: 401 })],
    [
      'an exception of Hono',
      () => {
        throw new HTTPException(401)
      },
    ],
  ])('an answer of the app with its status has its challenge: %s', async (_how, onDenied) => {
    expect(await get(app(onDenied))).toEqual(usual)
  })
})

describe('AjwtDenial', () => {
  test('has every member of the denial, and what error handlers read', async () => {
    const verifier = createVerifier(policy)
    const decision = await verifier.verify({ method: 'GET', url: '/orders', headers: {} })
    expect(decision).not.toBeInstanceOf(Error)
    expect(Object.isFrozen(decision)).toBe(true)
    const denial = new AjwtDenial(decision as Denial)
    expect(denial).toMatchObject({ ...decision, name: 'AjwtDenial', statusCode: 401, expose: true })
    expect(denial).toBeInstanceOf(Error)
    expect(denial.message).toBe((decision as Denial).description)
    expect('error' in denial).toBe(false)
    const [own, given] = [denial.getResponse(), verifier.respond(denial)]
    expect([own.status, Object.fromEntries(own.headers), await own.json()]).toEqual([
      401,
      { ...(decision as Denial).headers },
      (decision as Denial).body,
    ])
    expect(given.status).toBe(401)
  })
})
