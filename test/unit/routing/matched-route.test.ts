import type { RequestListener } from 'node:http'
import KoaRouter from '@koa/router'
import express from 'express'
import express4 from 'express4'
import { Hono } from 'hono'
import { routePath } from 'hono/route'
import Koa from 'koa'
import { describe, expect, test } from 'vitest'
import { plainRequest } from '../../../fixtures/kit.js'
import {
  createVerifier,
  type Decision,
  type Policy,
  type Routing,
  type Verifier,
} from '../../../src/index.js'
import { ask as send } from '../../support/ask.js'
import { fieldsOf, policyOf } from '../../support/routes/tokens.js'

const scoped = { scope: 'right' } as const

function verifierOf(routes: Policy['routes'], settings: Partial<Policy> = {}): Verifier {
  return createVerifier({ ...policyOf([]), routes: routes ?? {}, ...settings })
}

async function ask(
  verifier: Verifier,
  routing: Routing,
  method = 'GET',
  url = '/a/path/that/is/not/looked/up',
): Promise<Decision> {
  const headers = Object.fromEntries(await fieldsOf(new Set(['right'])))
  return verifier.verify({ method, url, headers, routing })
}

function routeOf(decision: Decision): string | undefined {
  return decision.outcome === 'allow' ? decision.grant.route : (decision as { route?: string }).route
}

const everyKey = {
  'GET /': scoped,
  'GET /orders': scoped,
  'GET /orders/:id': scoped,
  'GET /orders/:id/items/:item': scoped,
  'GET /files/*': scoped,
  'GET /tenants/:tenant/*': scoped,
  'GET /slash/': scoped,
} as const
const verifier = verifierOf(everyKey)
const open = verifierOf(everyKey, { unmatched: 'public' })
const all = verifierOf({ 'GET /*': scoped })

describe('the key with the shape of the matched pattern applies', () => {
  const rows: [route: string, params: object | undefined, key: string, grantParams: object][] = [
    ['/', undefined, '/', {}],
    ['/orders', {}, '/orders', {}],
    ['/orders/:id', { id: '17' }, '/orders/:id', { id: '17' }],
    ['/orders/:orderId', { orderId: '17' }, '/orders/:id', { id: '17' }],
    ['/orders/:id', { id: 'x/y', other: 1 }, '/orders/:id', { id: 'x/y' }],
    ['/orders/:id', Object.assign(Object.create(null), { id: '17' }), '/orders/:id', { id: '17' }],
    ['/orders/:item/items/:id', { id: 'b', item: 'a' }, '/orders/:id/items/:item', { id: 'a', item: 'b' }],
    ['/orders/:id(\\d+)', { id: '17' }, '/orders/:id', { id: '17' }],
    ['/orders/:id(^\\d{2}(-|_)?\\d$)', { id: '17' }, '/orders/:id', { id: '17' }],
    ['/orders/:id{[0-9]+}', { id: '17' }, '/orders/:id', { id: '17' }],
    ['/orders/:id{[0-9]{2}}', { id: '17' }, '/orders/:id', { id: '17' }],
    ['/orders/:id{[0-9/]+}', { id: '17' }, '/orders/:id', { id: '17' }],
    ['/orders/:id?', { id: '17' }, '/orders/:id', { id: '17' }],
    ['/orders/:id(\\d+)?', { id: '17' }, '/orders/:id', { id: '17' }],
    ['/orders{/:id}', { id: '17' }, '/orders/:id', { id: '17' }],
    ['/orders/:id?', {}, '/orders', {}],
    ['/orders/:id?', { id: undefined }, '/orders', {}],
    ['/orders/:id?', { id: '' }, '/orders', {}],
    ['/orders{/:id}', {}, '/orders', {}],
    ['/files/*', { '*': 'a/b' }, '/files/*', {}],
    ['/files/*rest', { rest: ['a', 'b'] }, '/files/*', {}],
    ['/files/{*rest}', {}, '/files/*', {}],
    ['/files{/*rest}', {}, '/files/*', {}],
    ['/tenants/:t/*', { t: 'x', '*': 'y' }, '/tenants/:tenant/*', { tenant: 'x' }],
    ['/slash/', {}, '/slash/', {}],
  ]
  test.each(rows)('%s %o: GET %s, %o', async (route, params, key, grantParams) => {
    expect(await ask(verifier, { route, params })).toMatchObject({
      outcome: 'allow',
      grant: { route: key, params: grantParams },
    })
  })

  test.each(['*', '/*', '/{*rest}', '{/*rest}', '/*rest'])('%s matches all paths', async (route) => {
    expect(await ask(all, { route, params: {} })).toMatchObject({ grant: { route: '/*', params: {} } })
  })

  test('the text of a wildcard may have dots in names, and a slash at its end', async () => {
    for (const text of ['a/b/', '.well-known/x', '...', 'a..b', '']) {
      expect(await ask(verifier, { route: '/files/*', params: { '*': text } })).toMatchObject({
        outcome: 'allow',
      })
    }
    // Fastify has the whole path under the name of this wildcard.
    expect(await ask(all, { route: '*', params: { '*': '/a/b' } })).toMatchObject({ outcome: 'allow' })
    for (const text of ['//a', '/a/../b']) {
      expect(await ask(all, { route: '*', params: { '*': text } })).toMatchObject({
        code: 'route_not_declared',
      })
    }
  })

  test('a claim is compared with the parameter of the key, also if the framework names it differently', async () => {
    const own = verifierOf({ 'GET /agents/:id': { claims: { '/sub': { param: 'id' } } } })
    expect(await ask(own, { route: '/agents/:who', params: { who: 'agent' } })).toMatchObject({
      outcome: 'allow',
    })
    expect(await ask(own, { route: '/agents/:who', params: { who: 'other', id: 'agent' } })).toMatchObject({
      code: 'claim_not_allowed',
    })
  })
})

describe('undeclared, for every value of `unmatched`', () => {
  const rows: [route: string | undefined, params?: object][] = [
    // No handler, or nothing that could be one from the app's root.
    [undefined],
    [''],
    ['orders/:id', { id: '17' }],
    // A parameter that is missing, or not one segment.
    ['/orders/:id', {}],
    ['/orders/:id'],
    ['/orders/:id', { id: '' }],
    ['/orders/:id', { id: 17 }],
    ['/orders/:id', { id: ['17'] }],
    ['/orders/:id', Object.create({ id: '17' })],
    ['/orders/:id(.*)', { id: '17/items' }],
    ['/orders/:id{.+}', { id: '17/items' }],
    // No shape that a key can have.
    ['/orders/:id-:item', { id: 'a', item: 'b' }],
    ['/orders/:id(\\d+)-:item(\\d+)', { id: 'a', item: 'b' }],
    ['/orders/:id([(])-:item([)])', { id: 'a', item: 'b' }],
    ['/orders/:id.json', { id: 'a' }],
    ['/orders/:id(^\\d+).png', { id: 'a' }],
    ['/orders/:id+', { id: 'a' }],
    ['/orders/:id*', { id: 'a' }],
    ['/orders/(\\d+)', { 0: '17' }],
    ['/orders/:id(', { id: '17' }],
    ['/orders{/:id', { id: '17' }],
    ['/orders{/items}', {}],
    ['/orders{:id}', { id: '17' }],
    ['/orders/:id?/items/:item', { id: 'a', item: 'b' }],
    ['/orders/:a/items/:a', { a: 'a' }],
    ['/files*', { '*': 'a' }],
    ['/*/orders', { '*': 'a' }],
    ['/orders/::id', { id: 'a' }],
    ['/orders//:id', { id: 'a' }],
    ['/orders/../:id', { id: 'a' }],
    ['/orders/%3Aid', {}],
    ['/orders\\/:id', { id: 'a' }],
    // Another spelling of a key: a router may have two handlers.
    ['/Orders/:id', { id: '17' }],
    ['/orders/:id/', { id: '17' }],
    ['/slash', {}],
    // Other patterns for paths that are declared.
    ['/:kind/:id', { kind: 'orders', id: '17' }],
    ['/:any', { any: 'orders' }],
    ['/orders/me', {}],
    ['/files', {}],
    ['*', { '*': 'orders' }],
    // Values that a file system or another server would take for another path.
    ['/orders/:id', { id: '..' }],
    ['/orders/:id', { id: 'a/../b' }],
    ['/orders/:id', { id: 'a\\..\\b' }],
    ['/orders/:id', { id: 'a\0' }],
    ['/files/*', { '*': '../secret' }],
    ['/files/*', { '*': 'a/../../secret' }],
    ['/files/*', { '*': 'a/.' }],
    ['/files/*', { '*': '/etc/passwd' }],
    ['/files/*', { '*': 'a//b' }],
    ['/files/*', { '*': 'a\r\nb' }],
    ['/files/*rest', { rest: ['a', '..', 'b'] }],
    ['/files/{*rest}', { rest: ['', 'etc'] }],
    ['/files{/*rest}', { rest: ['a', '', 'b'] }],
  ]
  test.each(rows)('%s %o', async (route, params) => {
    for (const one of [verifier, open]) {
      expect(await ask(one, { route, params })).toMatchObject({ code: 'route_not_declared' })
    }
  })
})

test('`unmatched` applies to a pattern that overlaps no key', async () => {
  const routing = { route: '/other/:id', params: { id: '1' } }
  expect(await ask(verifier, routing)).toMatchObject({ code: 'route_not_declared' })
  expect(await ask(open, routing)).toEqual({ outcome: 'public' })
  expect(await ask(verifierOf(everyKey, { unmatched: 'authenticate' }), routing)).toMatchObject({
    outcome: 'allow',
    grant: { params: {} },
  })
  // Nor are its methods: the rule of another method applies to that method only.
  expect(await ask(open, { route: '/orders/:id', params: { id: '1' } }, 'POST')).toEqual({
    outcome: 'public',
  })
})

describe('the method', () => {
  const routing = { route: '/x/:id', params: { id: '1' } }
  const rows: [keys: string[], method: string, key: string | undefined][] = [
    [['GET /x/:get'], 'HEAD', '/x/:get'],
    [['GET /x/:get', '* /x/:any'], 'HEAD', '/x/:get'],
    [['GET /x/:get', 'HEAD /x/:head', '* /x/:any'], 'HEAD', '/x/:head'],
    [['POST /x/:post', '* /x/:any'], 'HEAD', '/x/:any'],
    [['GET /x/:get', '* /x/:any'], 'PURGE', '/x/:any'],
    [['GET,POST /x/:both'], 'POST', '/x/:both'],
    [['POST /x/:post'], 'HEAD', undefined],
    [['HEAD /x/:head'], 'GET', undefined],
    [['* /x/:any'], 'get', undefined],
  ]
  test.each(rows)('with %j, %s has the rule of %s', async (keys, method, key) => {
    const own = verifierOf(Object.fromEntries(keys.map((each) => [each, 'public'])))
    expect(routeOf(await ask(own, routing, method))).toBe(key)
  })

  test('is that of the handler if an override was applied before', async () => {
    const own = verifierOf({ 'POST /x/:id': 'public', 'DELETE /x/:id': { scope: 'admin' } })
    const headers = { 'x-http-method-override': 'DELETE' }
    const of = (more: object) =>
      own.verify({ method: 'POST', url: '/x/1', headers, routing: { ...routing, ...more } })
    expect(await of({})).toMatchObject({ code: 'credentials_missing' })
    expect(routeOf(await of({}))).toBeUndefined()
    expect(await of({ method: 'DELETE' })).toMatchObject({ code: 'credentials_missing', route: '/x/:id' })
    for (const method of [['DELETE'], 1, null]) {
      expect(routeOf(await of({ method }))).toBeUndefined()
    }
  })
})

test('a preflight passes to a declared pattern, unless a key is for OPTIONS', async () => {
  const own = verifierOf(
    { 'GET /x/:id': scoped, '* /any/:id': scoped, 'OPTIONS /under/*': scoped, 'GET /under/:id': scoped },
    { preflight: true },
  )
  const headers = { origin: 'https://page.example.com', 'access-control-request-method': 'GET' }
  const of = (route: string) =>
    own.verify({ method: 'OPTIONS', url: '/x/1', headers, routing: { route, params: { id: '1' } } })
  expect(await of('/x/:id')).toEqual({ outcome: 'public' })
  for (const route of ['/any/:id', '/under/:id', '/other/:id', '/X/:id']) {
    expect(await of(route)).toMatchObject({ code: 'credentials_missing' })
  }
})

test('a preflight passes to a handler of every path where its path is declared, and no key answers OPTIONS', async () => {
  const headers = { origin: 'https://page.example.com', 'access-control-request-method': 'GET' }
  const keys: Policy['routes'] = { 'GET /x/:id': scoped, 'GET /files/*': scoped }
  const ask = (routes: Policy['routes'], url: string) =>
    verifierOf(routes, { preflight: true }).verify({
      method: 'OPTIONS',
      url,
      headers,
      routing: { route: '*', params: { '*': url } },
    })
  expect(await ask(keys, '/x/1')).toEqual({ outcome: 'public' })
  for (const url of ['/y/1', '/X/1', '/x/1/', '/x/%00', '/files/%2e%2e%2fx']) {
    expect(await ask(keys, url)).toMatchObject({ code: 'credentials_missing' })
  }
  expect(await ask({ ...keys, 'OPTIONS /z': scoped }, '/x/1')).toMatchObject({ code: 'credentials_missing' })
})

describe('routers that report the matched pattern', () => {
  const guard = verifierOf({ 'GET /v1/orders/:id': { scope: 'right' }, 'GET /v1/files/*': 'public' })
  type Decide = (
    method: string,
    url: string,
    headers: object,
    route: string,
    params: object,
  ) => Promise<string>
  const decide: Decide = async (method, url, headers, route, params) => {
    const decision = await guard.verify({
      method,
      url,
      headers: headers as never,
      routing: { route, params },
    })
    return decision.outcome === 'deny' ? decision.code : `${decision.outcome} ${JSON.stringify(decision)}`
  }

  const apps: Record<string, () => RequestListener> = {
    'Express 5': () => expressApp(express, '/*rest'),
    'Express 4': () => expressApp(express4, '/*'),
    Koa: () => {
      const router = new KoaRouter({ prefix: '/v1' })
      for (const path of ['/orders/:orderId', '/files/*rest']) {
        router.get(path, async (ctx) => {
          const route = (ctx as unknown as { _matchedRoute: string })._matchedRoute
          ctx.body = await decide(ctx.method, ctx.originalUrl, ctx.headers, route, ctx.params)
        })
      }
      return new Koa().use(router.routes() as unknown as Koa.Middleware).callback()
    },
  }

  function expressApp(framework: typeof express, rest: string) {
    const router = framework.Router()
    for (const path of ['/orders/:orderId', `/files${rest}`]) {
      router.get(path, async (req, res) => {
        const route = req.baseUrl + req.route.path
        res.end(await decide(req.method, req.originalUrl, req.headers, route, req.params))
      })
    }
    return framework().use('/v1', router)
  }

  test.each(Object.entries(apps))('%s', async (_name, build) => {
    const headers = await fieldsOf(new Set(['right']))
    const allowed = await send(build(), { method: 'GET', url: '/v1/orders/17', headers })
    expect(allowed.content).toContain('"params":{"id":"17"}')
    expect((await send(build(), plainRequest('GET', '/v1/orders/17'))).content).toBe('credentials_missing')
    expect((await send(build(), plainRequest('GET', '/v1/files/a/b'))).content).toContain('public')
  })

  test('Hono', async () => {
    const app = new Hono().basePath('/v1')
    for (const path of ['/orders/:orderId{[0-9]+}', '/files/*']) {
      app.get(path, async (c) =>
        c.text(
          await decide(
            c.req.method,
            c.req.url,
            Object.fromEntries(c.req.raw.headers as never),
            routePath(c),
            c.req.param(),
          ),
        ),
      )
    }
    const headers = Object.fromEntries(await fieldsOf(new Set(['right'])))
    expect(await (await app.request('/v1/orders/17', { headers })).text()).toContain('"params":{"id":"17"}')
    expect(await (await app.request('/v1/orders/17')).text()).toBe('credentials_missing')
    expect(await (await app.request('/v1/files/a')).text()).toContain('public')
  })
})
