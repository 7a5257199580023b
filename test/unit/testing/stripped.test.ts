import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import express4 from 'express4'
import Koa from 'koa'
import { afterEach, describe, expect, it } from 'vitest'
import { ajwt as forExpress } from '../../../middleware/express.js'
import { ajwt as forKoa } from '../../../middleware/koa.js'
import type { Policy } from '../../../src/index.js'
import { createTestIssuer } from '../../../src/testing/index.js'

const issuer = createTestIssuer({ audience: 'https://orders.example.com' })
const scope = 'orders:read'
const url = '/orders/7'
const policy: Policy = {
  issuer: issuer.policyIssuer,
  audience: issuer.audience,
  routes: { 'GET /orders/:id': { scope } },
}

const servers: (() => void)[] = []
afterEach(() => {
  for (const close of servers.splice(0)) close()
})

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  servers.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('an attack with credentials that another middleware takes away', () => {
  const change: Record<string, (headers: Record<string, unknown>) => void> = {
    'removes the token': (headers) => delete headers.authorization,
    'removes the proof': (headers) => delete headers.dpop,
    'replaces the token': (headers) => Object.assign(headers, { authorization: 'Basic YTpi' }),
  }
  const strip = (headers: Record<string, unknown>, which: unknown) => change[String(which)]?.(headers)
  const apps: Record<string, () => RequestListener> = {
    'Express 5': () => expressApp(express()),
    'Express 4': () => expressApp(express4() as never),
    'Koa 3': () => {
      const app = new Koa()
      app.use((ctx, next) => {
        strip(ctx.req.headers, ctx.get('x-strip'))
        return next()
      })
      app.use(forKoa(policy))
      app.use((ctx) => {
        ctx.body = 'ok'
      })
      return app.callback()
    },
  }
  function expressApp(app: ReturnType<typeof express>) {
    app.use((req, _res, next) => {
      strip(req.headers, req.headers['x-strip'])
      next()
    })
    app.use(forExpress(policy))
    app.get('/orders/:id', (_req, res) => void res.send('ok'))
    return app
  }

  it.each(Object.keys(apps).flatMap((name) => Object.keys(change).map((which) => [name, which] as const)))(
    'finds them gone in %s where it %s',
    async (name, which) => {
      const origin = await serve((apps[name] as () => RequestListener)())
      const rows = await issuer.attacks(origin, { url, scope, stripped: { 'x-strip': which } })
      const row = rows.find(({ name }) => name.includes('another middleware'))
      expect(row).toMatchObject({ ok: true, got: expect.stringMatching(/^401 (credentials|scheme|proof)_/) })
      expect(rows.filter(({ ok }) => !ok)).toEqual([])
    },
  )
})
