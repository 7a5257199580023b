import { once } from 'node:events'
import { IncomingMessage, type RequestListener, ServerResponse } from 'node:http'
import { connect, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import express from 'express'
import express4 from 'express4'
import fastify, { type FastifyRequest } from 'fastify'
import fastify4 from 'fastify4'
import { Hono } from 'hono'
import Koa from 'koa'
import Koa2 from 'koa2'
import supertest from 'supertest'
import { afterEach, describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../../fixtures/conformance/policy.js'
import { send } from '../../../fixtures/conformance/wire.js'
import { createKit, type Header, type WireRequest } from '../../../fixtures/kit.js'
import * as forExpress from '../../../middleware/express.js'
import * as forFastify from '../../../middleware/fastify.js'
import * as forHono from '../../../middleware/hono.js'
import * as forKoa from '../../../middleware/koa.js'
import type { Policy } from '../../../src/index.js'
import { fastifyListener } from '../../support/fastify.js'
import { listen } from '../../support/listen.js'

const kit = createKit()
const now = () => kit.now
const policy: Policy = {
  ...defaultPolicy(),
  preflight: true,
  routes: { 'GET /orders/:id': 'authenticated', 'GET /open': { anonymous: true } },
}

/** Changes of an earlier middleware to the headers object of Node's request. */
type Change = (req: IncomingMessage) => void

const expressApp = (app: express.Express, change: Change): RequestListener =>
  app
    .use((req, _res, next) => {
      change(req)
      next()
    })
    .use(forExpress.ajwt(policy, { now }))
    .use((req, res) => void res.send(req.ajwt?.agent.id ?? 'no grant'))

const koaApp = (app: Koa, change: Change) =>
  app
    .use((ctx, next) => {
      change(ctx.req)
      return next()
    })
    .use(forKoa.ajwt(policy, { now }))
    .use((ctx) => {
      ctx.body = ctx.state.ajwt?.agent.id ?? 'no grant'
    })
    .callback()

const fastifyApp = (app: ReturnType<typeof fastify>, change: Change) => {
  app.addHook('onRequest', async (request: FastifyRequest) => change(request.raw))
  app.register(forFastify.ajwt, { policy, now })
  const handler = (request: FastifyRequest) => request.ajwt?.agent.id ?? 'no grant'
  for (const path of ['/orders/:id', '/open']) app.all(path, handler)
  return fastifyListener(app)
}

const apps: Record<string, (change: Change) => RequestListener> = {
  'Express 5': (change) => expressApp(express(), change),
  'Express 4': (change) => expressApp(express4(), change),
  'Koa 3': (change) => koaApp(new Koa(), change),
  'Koa 2': (change) => koaApp(new Koa2(), change),
  'Fastify 5': (change) => fastifyApp(fastify(), change),
  'Fastify 4': (change) => fastifyApp(fastify4(), change),
}

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

async function ask(listener: RequestListener, { method, url, headers }: WireRequest) {
  const verb = method === 'OPTIONS' ? 'options' : 'get'
  const { status, body, text } = await supertest(listener)[verb](url).set(Object.fromEntries(headers))
  return [status, body.code ?? text]
}

/** Over a socket, as written, with fields that come twice. */
async function askRaw(listener: RequestListener, request: WireRequest) {
  const server = await listen(listener)
  closing.push(server.close)
  const { status, body } = await send(Number(new URL(server.origin).port), request)
  return [status, body.startsWith('{') ? JSON.parse(body).code : body]
}

const bareOrder: WireRequest = { method: 'GET', url: '/orders/42', headers: [['host', 'x']] }

describe.each(Object.entries(apps))(
  'the fields of a request to %s are those that the app has left',
  (_, build) => {
    const value = ({ headers }: WireRequest, name: string) =>
      headers.find(([own]) => own === name)?.[1] as string
    const names = kit.call().headers.map(([name]) => name)
    const [authorization, dpop] = names as [string, string]

    test.each<[string, Change, unknown[]]>([
      ['nothing is changed', () => {}, [200, 'agent-7']],
      ['Authorization is deleted', (req) => delete req.headers.authorization, [401, 'credentials_missing']],
      ['the proof is deleted', (req) => delete req.headers.dpop, [401, 'proof_missing']],
      [
        'it is emptied',
        (req) => void Object.assign(req.headers, { authorization: '' }),
        [401, 'credentials_missing'],
      ],
      [
        'it is undefined',
        (req) => void Object.assign(req.headers, { authorization: undefined }),
        [401, 'credentials_missing'],
      ],
      [
        'the object is another',
        (req) => void Object.assign(req, { headers: {} }),
        [401, 'credentials_missing'],
      ],
      [
        'it is set',
        (req) => void Object.assign(req.headers, { authorization: 'DPoP a.b.c' }),
        [401, 'token_malformed'],
      ],
      [
        'a second one is added under another case',
        (req) => void Object.assign(req.headers, { Authorization: 'DPoP a.b.c' }),
        [400, 'credentials_ambiguous'],
      ],
      [
        'a method override is set',
        (req) => void Object.assign(req.headers, { 'x-http-method-override': 'DELETE' }),
        [403, 'route_not_declared'],
      ],
    ])('%s', async (_how, change, answer) => {
      expect(await ask(build(change), kit.call())).toEqual(answer)
    })

    test('credentials that a middleware sets count, in any letter case', async () => {
      const call = kit.call()
      const set: Change = (req) => {
        req.headers.AUTHORIZATION = value(call, authorization)
        req.headers.DPoP = value(call, dpop)
      }
      expect(await ask(build(set), bareOrder)).toEqual([200, 'agent-7'])
    })

    test('deleted credentials are none on a route that takes anonymous callers', async () => {
      const strip: Change = (req) => {
        delete req.headers.authorization
        delete req.headers.dpop
      }
      expect(await ask(build(strip), kit.call({ path: '/open' }))).toEqual([200, 'no grant'])
      expect(
        await ask(
          build(() => {}),
          kit.call({ path: '/open', token: 'a.b.c' }),
        ),
      ).toEqual([401, 'token_malformed'])
    })

    test('a method override that a middleware has deleted is none', async () => {
      const call = kit.call({ headers: [['X-HTTP-Method-Override', 'DELETE']] })
      expect(
        await ask(
          build(() => {}),
          call,
        ),
      ).toEqual([403, 'route_not_declared'])
      const strip: Change = (req) => delete req.headers['x-http-method-override']
      expect(await ask(build(strip), kit.call({ headers: [['X-HTTP-Method-Override', 'DELETE']] }))).toEqual([
        200,
        'agent-7',
      ])
    })

    test('a preflight without the origin that a middleware has deleted is none', async () => {
      const preflight: WireRequest = {
        method: 'OPTIONS',
        url: '/orders/42',
        headers: [
          ['host', 'x'],
          ['origin', 'https://agents.example.com'],
          ['access-control-request-method', 'GET'],
        ],
      }
      expect(
        await ask(
          build(() => {}),
          preflight,
        ),
      ).toEqual([200, 'no grant'])
      expect(
        await ask(
          build((req) => delete req.headers.origin),
          preflight,
        ),
      ).toEqual([401, 'credentials_missing'])
      const twice = {
        ...preflight,
        headers: [...preflight.headers, ['origin', 'https://other.example']] as Header[],
      }
      expect(
        await askRaw(
          build(() => {}),
          twice,
        ),
      ).toEqual([401, 'credentials_missing'])
    })

    test('a second field that the object hides is seen, unless a middleware has set another', async () => {
      const twice = () => {
        const call = kit.call()
        return { ...call, headers: [...call.headers, [authorization, 'DPoP a.b.c']] as Header[] }
      }
      expect(
        await askRaw(
          build(() => {}),
          twice(),
        ),
      ).toEqual([400, 'credentials_ambiguous'])
      expect(
        await askRaw(
          build((req) => delete req.headers.authorization),
          twice(),
        ),
      ).toEqual([401, 'credentials_missing'])
      const set: Change = (req) => void Object.assign(req.headers, { authorization: 'DPoP d.e.f' })
      expect(await askRaw(build(set), twice())).toEqual([401, 'token_malformed'])
      const call = kit.call()
      const proofs = { ...call, headers: [...call.headers, [dpop, kit.proof()]] as Header[] }
      expect(
        await askRaw(
          build(() => {}),
          proofs,
        ),
      ).toEqual([401, 'proof_malformed'])
    })
  },
)

describe('the fields of a request over HTTP/2, to Koa', () => {
  async function ask2(change: Change, more: Record<string, string | string[]> = {}): Promise<unknown[]> {
    const server = createHttp2Server(koaApp(new Koa(), change) as never)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const stream = client.request({
      ':path': '/orders/42',
      ...Object.fromEntries(kit.call().headers.map(([name, text]) => [name.toLowerCase(), text])),
      ...more,
    })
    stream.setEncoding('utf8')
    let body = ''
    stream.on('data', (piece) => {
      body += piece
    })
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
    await once(stream, 'end')
    client.close()
    server.close()
    return [headers[':status'], body.startsWith('{') ? JSON.parse(body).code : body]
  }

  test('are those that the app has left', async () => {
    expect(await ask2(() => {})).toEqual([200, 'agent-7'])
    expect(await ask2((req) => delete req.headers.authorization)).toEqual([401, 'credentials_missing'])
    expect(await ask2((req) => void Object.assign(req.headers, { authorization: 'DPoP a.b.c' }))).toEqual([
      401,
      'token_malformed',
    ])
  })

  test('and a second one is seen', async () => {
    expect(await ask2(() => {}, { dpop: ['a.b.c', 'd.e.f'] })).toEqual([401, 'proof_malformed'])
  })
})

describe('the fields of a request to Hono', () => {
  const build = (change: (request: Request) => Request) => {
    const app = new Hono<forHono.AjwtEnv>()
      .use((c, next) => {
        c.req.raw = change(c.req.raw)
        return next()
      })
      .use(forHono.ajwt(policy, { now }))
    app.all('*', (c) => c.text(c.get('ajwt')?.agent.id ?? 'no grant'))
    return getRequestListener(app.fetch)
  }
  const change = (edit: (headers: Headers) => void) => (request: Request) => {
    const headers = new Headers(request.headers)
    edit(headers)
    return new Request(request, { headers })
  }

  test('are those of the request that a middleware has put in its place', async () => {
    expect(
      await ask(
        build((request) => request),
        kit.call(),
      ),
    ).toEqual([200, 'agent-7'])
    const stripped = change((headers) => headers.delete('authorization'))
    expect(await ask(build(stripped), kit.call())).toEqual([401, 'credentials_missing'])
    const other = change((headers) => headers.set('authorization', 'DPoP a.b.c'))
    expect(await ask(build(other), kit.call())).toEqual([401, 'token_malformed'])
    const call = kit.call()
    const given = change((headers) => {
      for (const [name, value] of call.headers) headers.set(name, value)
    })
    expect(await ask(build(given), bareOrder)).toEqual([200, 'agent-7'])
  })

  test('and a second one is seen', async () => {
    const call = kit.call()
    const twice = { ...call, headers: [...call.headers, ['Authorization', 'DPoP a.b.c']] as Header[] }
    expect(
      await askRaw(
        build((request) => request),
        twice,
      ),
    ).toEqual([400, 'credentials_ambiguous'])
  })
})

/**
 * Hands a request to an app that never was on a wire, as function hosts and test tools do, and gives the
 * status.
 */
async function hand(
  app: RequestListener,
  { method, url }: WireRequest,
  fields: Pick<IncomingMessage, 'headers' | 'rawHeaders'>,
): Promise<number> {
  const socket = new Duplex({ read() {}, write: (_piece, _encoding, done) => done() }) as Socket
  const req = Object.assign(new IncomingMessage(socket), { method, url, httpVersion: '1.1', ...fields })
  const res = new ServerResponse(req)
  res.assignSocket(socket)
  const ended = once(res, 'finish')
  app(req, res)
  await ended
  return res.statusCode
}

describe.each(Object.entries(apps))('a request to %s that never was on a wire', (_, build) => {
  const app = build(() => {})
  const raw = ({ headers }: WireRequest) => headers.flat() as string[]
  const object = ({ headers }: WireRequest) => Object.fromEntries(headers)

  test('has the fields of its object, in any letter case', async () => {
    expect(await hand(app, bareOrder, { rawHeaders: [], headers: object(kit.call()) })).toBe(200)
    const headers = object(kit.call())
    expect(await hand(app, bareOrder, { rawHeaders: undefined as never, headers })).toBe(200)
    const upper = Object.fromEntries(kit.call().headers.map(([name, value]) => [name.toUpperCase(), value]))
    expect(await hand(app, bareOrder, { rawHeaders: [], headers: upper })).toBe(200)
  })

  test('with members that were added to all arrays', async () => {
    Object.defineProperty(Array.prototype, 'get', { value: () => null, configurable: true })
    try {
      const call = kit.call()
      expect(await hand(app, call, { rawHeaders: raw(call), headers: object(call) })).toBe(200)
    } finally {
      Reflect.deleteProperty(Array.prototype, 'get')
    }
  })

  test('is refused where its list is none: it could hide a second field', async () => {
    const call = kit.call()
    const lists = [['authorization'], ['host', 'x', 'dpop'], [1, 2], [['a', 'b']], ['a', null]] as string[][]
    for (const rawHeaders of lists) {
      expect(await hand(app, call, { rawHeaders, headers: object(call) })).toBe(503)
    }
  })
})
