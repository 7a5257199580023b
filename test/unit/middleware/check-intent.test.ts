import type { RequestListener } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import KoaRouter from '@koa/router'
import express from 'express'
import express4 from 'express4'
import fastify, { type FastifyRequest } from 'fastify'
import fastify4 from 'fastify4'
import { Hono } from 'hono'
import Koa from 'koa'
import supertest from 'supertest'
import { describe, expect, test } from 'vitest'
import { AUDIENCE, createKit, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import * as forExpress from '../../../middleware/express.js'
import * as forFastify from '../../../middleware/fastify.js'
import * as forHono from '../../../middleware/hono.js'
import * as forKoa from '../../../middleware/koa.js'
import { AjwtDenial, type Policy, PolicyError, type RouteRule } from '../../../src/index.js'
import { fastifyListener } from '../../support/fastify.js'

const policy: Policy = {
  issuer: { url: ISSUER, jwks: issuerJwks() },
  audience: AUDIENCE,
  routes: { 'GET /orders/:id': 'authenticated', 'GET /open/:id': 'public' },
}

/** One check in a handler: its outcome is kept, and sent. */
type Check = (check: (rule: RouteRule, params?: Record<string, string>) => Promise<unknown>) => Promise<void>

const apps: Record<string, (check: Check, policies: Policy[]) => RequestListener> = {
  ...Object.fromEntries(
    [['Express 5', express] as const, ['Express 4', express4] as const].map(([name, make]) => [
      name,
      (check: Check, policies: Policy[]) => {
        const app = make()
        for (const policy of policies) app.use(forExpress.ajwt(policy))
        return app.get('/:kind/:id', (req, res) => {
          void check((rule, params) => forExpress.checkIntent(req, rule, params)).then(() => res.end())
        })
      },
    ]),
  ),
  Koa: (check, policies) => {
    const app = new Koa()
    for (const policy of policies) app.use(forKoa.ajwt(policy))
    const router = new KoaRouter()
    router.get('/:kind/:id', async (ctx) => {
      await check((rule, params) => forKoa.checkIntent(ctx as unknown as Koa.Context, rule, params))
      ctx.body = ''
    })
    return app.use(router.routes() as unknown as Koa.Middleware).callback()
  },
  Hono: (check, policies) => {
    const app = new Hono<forHono.AjwtEnv>()
    for (const policy of policies) app.use(forHono.ajwt(policy))
    app.get('/:kind/:id', async (c) => {
      await check((rule, params) => forHono.checkIntent(c, rule, params))
      return c.text('')
    })
    return getRequestListener(app.fetch)
  },
  ...Object.fromEntries(
    [['Fastify 5', fastify] as const, ['Fastify 4', fastify4] as const].map(([name, make]) => [
      name,
      (check: Check, gates: Policy[]) => {
        const app = make()
        for (const policy of gates) app.register(forFastify.ajwt, { policy })
        for (const kind of ['orders', 'open']) {
          app.get(`/${kind}/:id`, async (request: FastifyRequest) => {
            await check((rule, params) => forFastify.checkIntent(request, rule, params))
            return ''
          })
        }
        return fastifyListener(app)
      },
    ]),
  ),
}

describe.each(Object.entries(apps))('checkIntent on %s', (_, make) => {
  const kit = createKit(Date.now())

  async function ask(check: Check, { path = '/orders/42', policies = [policy], token = kit.token() } = {}) {
    let failure: unknown
    const app = make(
      (run) =>
        check(run).catch((error) => {
          failure = error
        }),
      policies,
    )
    const { headers } = kit.call({ path, token })
    const answer = await supertest(app).get(path).set(Object.fromEntries(headers))
    if (failure !== undefined) throw failure
    return answer.status
  }

  test('resolves to the denial, or to undefined where the rule holds', async () => {
    const found: unknown[] = []
    await ask(async (check) => {
      found.push(await check({ scope: 'orders:read' }))
      found.push(await check({ scope: 'admin' }))
      found.push(await check({ scope: 'admin', mode: 'observe' }))
    })
    expect(found).toEqual([undefined, expect.any(AjwtDenial), undefined])
    expect(found[1]).toMatchObject({ status: 403, code: 'scope_insufficient', outcome: 'deny' })
  })

  test('compares with the parameters of the handler, or with those it is given', async () => {
    const found: unknown[] = []
    const rule: RouteRule = { claims: { '/order_id': { param: 'id' } } }
    await ask(
      async (check) => {
        found.push(await check(rule))
        found.push(await check(rule, { id: '43' }))
      },
      { token: kit.token({ claims: { order_id: '42' } }) },
    )
    expect(found).toEqual([undefined, expect.objectContaining({ code: 'claim_not_allowed' })])
  })

  test('reads a rule anew each time', async () => {
    const found: unknown[] = []
    const rule: { scope?: string } = {}
    await ask(async (check) => {
      found.push(await check(rule))
      rule.scope = 'admin'
      found.push(await check(rule))
    })
    expect(found).toEqual([undefined, expect.objectContaining({ code: 'scope_insufficient' })])
  })

  test('uses a token up for one request, however often that checks', async () => {
    const found: unknown[] = []
    const token = kit.token()
    const twice: Check = async (check) => {
      found.push(await check({ once: true }), await check({ once: true }))
    }
    const app = make(twice, [policy])
    for (let request = 0; request < 2; request++) {
      const { headers } = kit.call({ token })
      await supertest(app).get('/orders/42').set(Object.fromEntries(headers))
    }
    const reused = expect.objectContaining({ status: 401, code: 'token_reused' })
    expect(found).toEqual([undefined, undefined, reused, reused])
  })

  test('is a denial where there is no grant, and a failure of the app where no ajwt has run', async () => {
    const found: unknown[] = []
    const check: Check = async (check) => void found.push(await check({}))
    await ask(check, { path: '/open/42' })
    await ask(check, { policies: [] })
    expect(found).toMatchObject([
      { status: 401, code: 'credentials_missing' },
      { status: 503, code: 'internal_error' },
    ])
  })

  test('rejects a rule that is wrong', async () => {
    const wrong = ask(async (check) => void (await check({ scopes: ['a'] } as RouteRule)))
    await expect(wrong).rejects.toThrow(PolicyError)
  })
})
