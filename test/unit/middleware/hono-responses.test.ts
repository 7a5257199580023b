import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { cors } from 'hono/cors'
import { HTTPException } from 'hono/http-exception'
import { requestId } from 'hono/request-id'
import { secureHeaders } from 'hono/secure-headers'
import { stream, streamSSE } from 'hono/streaming'
import { afterEach, describe, expect, test } from 'vitest'
import { AUDIENCE, createKit, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import { type AjwtEnv, ajwt, requireIntent } from '../../../middleware/hono.js'
import type { Policy } from '../../../src/index.js'
import { listen } from '../../support/listen.js'

const policy: Policy = {
  issuer: { url: ISSUER, jwks: issuerJwks() },
  audience: AUDIENCE,
  proof: { nonce: 'required' },
  routes: { 'GET /answers/:kind': 'authenticated', 'GET /orders': { scope: 'orders:read' } },
}

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

async function start(app: Hono<AjwtEnv>): Promise<string> {
  const server = await listen(getRequestListener(app.fetch))
  closing.push(server.close)
  return server.origin
}

/** Asks once for the nonce, then honestly. */
async function call(origin: string, path: string): Promise<Response> {
  const nonce = (await fetch(origin + path)).headers.get('dpop-nonce') ?? ''
  const { headers } = createKit(Date.now()).call({ path, proof: { claims: { nonce } } })
  return fetch(origin + path, { headers: Object.fromEntries(headers) })
}

async function addAnswers(app: Hono<AjwtEnv>): Promise<void> {
  const upstream = await listen((_req, res) => {
    res.setHeader('cache-control', 'public, max-age=60').end('from upstream')
  })
  closing.push(upstream.close)
  app.get('/answers/text', (c) => c.text('text'))
  app.get('/answers/json', (c) => c.json({ ok: true }, 201, { 'cache-control': 'private' }))
  app.get('/answers/raw', () => new Response('raw', { status: 202 }))
  app.get('/answers/empty', () => new Response(null, { status: 204 }))
  app.get('/answers/fetched', () => fetch(upstream.origin))
  app.get('/answers/redirect', () => Response.redirect('https://orders.example.com/', 307))
  app.get('/answers/streamed', (c) => stream(c, async (out) => void (await out.write('streamed'))))
  app.get('/answers/events', (c) => streamSSE(c, async (out) => void (await out.writeSSE({ data: 'one' }))))
  app.get('/answers/thrown', () => {
    throw new HTTPException(409, { message: 'conflict' })
  })
  app.get('/answers/thrown-raw', () => {
    throw new HTTPException(409, { res: new Response('conflict', { status: 409 }) })
  })
  app.get('/answers/broken', () => {
    throw new Error('broken')
  })
  app.get('/answers/not-found', (c) => c.notFound())
  app.onError((error, c) =>
    error instanceof HTTPException ? error.getResponse() : c.text(error.message, 500),
  )
}

describe('the nonce and no-store reach what a handler of Hono answers', () => {
  test.each<[string, number]>([
    ['text', 200],
    ['json', 201],
    ['raw', 202],
    ['empty', 204],
    ['fetched', 200],
    ['redirect', 307],
    ['streamed', 200],
    ['events', 200],
    ['thrown', 409],
    ['thrown-raw', 409],
    ['broken', 500],
    ['not-found', 404],
    ['no-handler-at-all', 404],
  ])('%s', async (kind, status) => {
    const app = new Hono<AjwtEnv>().use(ajwt(policy))
    await addAnswers(app)
    const origin = await start(app)
    const nonce = (await fetch(origin)).headers.get('dpop-nonce')
    const { headers } = createKit(Date.now()).call({
      path: `/answers/${kind}`,
      proof: { claims: { nonce } },
    })
    const answer = await fetch(`${origin}/answers/${kind}`, {
      headers: Object.fromEntries(headers),
      redirect: 'manual',
    })
    expect(answer.status).toBe(status)
    // The nonce may change between the two requests.
    expect(answer.headers.get('dpop-nonce')).toMatch(/^.{43}$/)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    await answer.text()
  })
})

describe('a refusal of Hono', () => {
  test('has the fields of the middleware in front of it', async () => {
    const app = new Hono<AjwtEnv>()
      .use(requestId())
      .use(secureHeaders())
      .use(cors({ origin: 'https://agents.example.com', exposeHeaders: ['WWW-Authenticate'] }))
      .use(async (c, next) => {
        c.header('x-staged', 'staged')
        c.header('cache-control', 'public, max-age=600')
        c.header('content-type', 'text/html')
        c.header('set-cookie', 'a=1', { append: true })
        c.header('set-cookie', 'b=2', { append: true })
        await next()
      })
      .use(ajwt(policy))
    const answer = await fetch(`${await start(app)}/orders`, {
      headers: { origin: 'https://agents.example.com' },
    })
    expect([answer.status, await answer.json()]).toMatchObject([401, { code: 'credentials_missing' }])
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'x-request-id': expect.stringMatching(/^[\w-]{36}$/),
      'x-content-type-options': 'nosniff',
      'access-control-allow-origin': 'https://agents.example.com',
      'x-staged': 'staged',
      'www-authenticate': expect.stringMatching(/^DPoP /),
      'dpop-nonce': expect.stringMatching(/^.{43}$/),
      // Its own fields are those that count.
      'content-type': 'application/json',
      'cache-control': 'no-store',
    })
    expect(answer.headers.getSetCookie()).toEqual(['a=1', 'b=2'])
  })

  test('has them at requireIntent as well, and where the response was touched before', async () => {
    const app = new Hono<AjwtEnv>()
      .use(ajwt(policy))
      .use(async (c, next) => {
        c.res.headers.set('x-touched', 'yes')
        c.res.headers.set('www-authenticate', 'Basic')
        await next()
      })
      .get('/orders', requireIntent({ scope: 'admin' }), (c) => c.text('the orders'))
    const answer = await call(await start(app), '/orders')
    expect([answer.status, await answer.json()]).toMatchObject([403, { code: 'scope_insufficient' }])
    expect(answer.headers.get('x-touched')).toBe('yes')
    expect(answer.headers.get('www-authenticate')).toMatch(/^DPoP /)
  })
})
