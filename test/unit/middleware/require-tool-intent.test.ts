import type { IncomingMessage, RequestListener } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import express from 'express'
import express4 from 'express4'
import fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../../fixtures/conformance/policy.js'
import { createKit } from '../../../fixtures/kit.js'
import * as forExpress from '../../../middleware/express.js'
import * as forFastify from '../../../middleware/fastify.js'
import * as forHono from '../../../middleware/hono.js'
import * as forKoa from '../../../middleware/koa.js'
import { createVerifier, type Grant, PolicyError, type Verifier } from '../../../src/index.js'
import type { McpRules } from '../../../src/mcp/index.js'
import { fastifyListener } from '../../support/fastify.js'
import { type Listening, listen } from '../../support/listen.js'
import { call, request } from '../../support/mcp/message-decisions.js'

const rules: McpRules = {
  tools: {
    read: { scope: 'read', limit: { per: 'agent', max: 1000, window: 60, name: 'reads' } },
    watched: { agents: ['another-agent'], mode: 'observe' },
    refund: { arguments: { '/amount': { max: 50 } } },
    other: { agents: ['another-agent'] },
  },
  methods: { 'no/one': { agents: ['another-agent'] } },
}

/** The request as the handler saw it. */
interface Seen {
  readonly body: unknown
  readonly grant: Grant | undefined
}

type See = (seen: Seen) => { handled: true }

async function textOf(stream: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += String(chunk)
  return text
}

function expressApp(app: express.Express, verifier: Verifier, see: See): RequestListener {
  app.use(forExpress.ajwt(verifier), express.json())
  app.use('/mcp', forExpress.requireToolIntent(rules), (req, res) => {
    res.json(see({ body: req.body, grant: req.ajwt }))
  })
  app.post('/http', forExpress.requireToolIntent(rules, { denials: 'http' }), (_req, res) => {
    res.end('{}')
  })
  const onDenied: forExpress.ToolOptions['onDenied'] = ({ code }, _req, res) => void res.json({ own: code })
  app.post('/own', forExpress.requireToolIntent(rules, { onDenied }), (_req, res) => void res.end('{}'))
  return app
}

function koaApp(verifier: Verifier, see: See): RequestListener {
  const app = new Koa()
  app.use(forKoa.ajwt(verifier))
  app.use(async (ctx, next) => {
    if (ctx.is('json')) Object.assign(ctx.request, { body: JSON.parse(await textOf(ctx.req)) })
    return next()
  })
  const own = forKoa.requireToolIntent(rules, {
    onDenied: ({ code }, ctx) => {
      ctx.body = { own: code }
    },
  })
  const http = forKoa.requireToolIntent(rules, { denials: 'http' })
  const auto = forKoa.requireToolIntent(rules)
  app.use(async (ctx, next) => {
    const guard = ctx.path === '/own' ? own : ctx.path === '/http' ? http : auto
    return (guard as Koa.Middleware)(ctx, next)
  })
  app.use((ctx) => {
    const body = 'body' in ctx.request ? ctx.request.body : undefined
    ctx.body = see({ body, grant: ctx.state.ajwt })
  })
  return app.callback()
}

function honoApp(verifier: Verifier, see: See): RequestListener {
  const app = new Hono<forHono.AjwtEnv>()
  app.use(forHono.ajwt(verifier))
  app.all('/mcp', forHono.requireToolIntent(rules), async (c) => {
    // As the MCP SDKs do: the request itself is read.
    const text = await c.req.raw.text()
    return c.json(see({ body: text === '' ? undefined : JSON.parse(text), grant: c.get('ajwt') }))
  })
  app.post('/http', forHono.requireToolIntent(rules, { denials: 'http' }), (c) => c.json({}))
  const onDenied: forHono.ToolOptions['onDenied'] = ({ code }, c) => c.json({ own: code })
  app.post('/own', forHono.requireToolIntent(rules, { onDenied }), (c) => c.json({}))
  app.use('/read/*', async (c, next) => {
    await (c.req.path.endsWith('form') ? c.req.formData() : c.req.json())
    await next()
  })
  app.post('/read/*', forHono.requireToolIntent(rules), (c) => c.json(see({ body: 1, grant: c.get('ajwt') })))
  return getRequestListener(app.fetch)
}

function fastifyApp(verifier: Verifier, see: See): RequestListener {
  const app = fastify()
  app.register(forFastify.ajwt, { verifier })
  const handler = ({ body, ajwt: grant }: FastifyRequest) => see({ body, grant })
  const url = '/mcp'
  app.register(async (scope) => {
    scope.addContentTypeParser('text/plain', { parseAs: 'string' }, (_request, _body, done) => done(null))
    scope.route({
      method: ['GET', 'POST', 'DELETE'],
      url,
      preHandler: forFastify.requireToolIntent(rules),
      handler,
    })
    const http = forFastify.requireToolIntent(rules, { denials: 'http' })
    scope.post('/http', { preHandler: http }, handler)
    const onDenied = ({ code }: { code: string }, _request: FastifyRequest, reply: FastifyReply) =>
      reply.send({ own: code })
    scope.post('/own', { preHandler: forFastify.requireToolIntent(rules, { onDenied }) }, handler)
  })
  return fastifyListener(app)
}

const apps: Record<string, (verifier: Verifier, see: See) => RequestListener> = {
  'Express 5': (verifier, see) => expressApp(express(), verifier, see),
  'Express 4': (verifier, see) => expressApp(express4(), verifier, see),
  'Koa 3': koaApp,
  'Hono 4': honoApp,
  'Fastify 5': fastifyApp,
}

function isText(body: unknown): body is string | Uint8Array<ArrayBuffer> {
  return typeof body === 'string' || body instanceof Uint8Array
}

function start(app: (verifier: Verifier, see: See) => RequestListener) {
  const kit = createKit()
  const seen: Seen[] = []
  const routes = {
    '* /mcp': { scope: 'mcp' },
    'POST /http': 'authenticated',
    'POST /own': 'authenticated',
    'POST /read/:as': 'authenticated',
  } as const
  const verifier = createVerifier({ ...defaultPolicy(), routes }, { now: () => kit.now })
  const listener = app(verifier, (one) => {
    seen.push(one)
    return { handled: true }
  })
  let server: Listening
  return {
    seen,
    async open() {
      server = await listen(listener)
    },
    close: () => server.close(),
    async ask(body: unknown, { path = '/mcp', method = 'POST', fields = {}, scope = 'mcp' } = {}) {
      seen.length = 0
      const { headers } = kit.call({ method, path, token: { claims: { scope } } })
      const response = await fetch(server.origin + path, {
        method,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...Object.fromEntries(headers),
          ...fields,
        },
        body: body === undefined ? null : isText(body) ? body : JSON.stringify(body),
      })
      const text = await response.text()
      return { status: response.status, headers: response.headers, text, json: () => JSON.parse(text) }
    },
  }
}

describe.each(Object.entries(apps))('requireToolIntent in %s', (name, app) => {
  const server = start(app)
  beforeAll(server.open)
  afterAll(server.close)
  const { ask, seen } = server

  test('lets a call pass whose rule is met, with the grant and the whole body', async () => {
    const body = call('read', { a: 1 })
    const answer = await ask(body, { scope: 'mcp read' })
    expect([answer.status, answer.text]).toEqual([200, '{"handled":true}'])
    expect(seen).toMatchObject([{ body, grant: { scopes: ['mcp', 'read'] } }])
    expect(answer.headers.get('ratelimit-policy')).toContain('"reads"')
  })

  test('answers with a challenge, a tool result or a JSON-RPC error, and the handler does not run', async () => {
    const scope = await ask(call('read'))
    expect(scope.status).toBe(403)
    expect(scope.headers.get('www-authenticate')).toContain('scope="mcp read"')
    const agent = await ask(call('other'))
    expect([agent.status, agent.json().result.isError]).toEqual([200, true])
    expect(agent.headers.get('content-type')).toBe('application/json')
    expect((await ask(call('refund', { amount: 51 }))).json().result.isError).toBe(true)
    expect((await ask(call('Read'))).json().error.code).toBe(-32602)
    expect((await ask(request('no/such'))).json().error.code).toBe(-32601)
    expect((await ask(request('no/one'))).json().error.code).toBe(403)
    expect(seen).toEqual([])
  })

  test('refuses a batch, fields that differ, and a body that no parser has read', async () => {
    const batch = await ask([call('read')], { scope: 'mcp read' })
    expect([batch.status, batch.json().error.code]).toEqual([400, -32600])
    const lie = await ask(call('refund', { amount: 1 }), { fields: { 'mcp-name': 'read' } })
    expect([lie.status, lie.json().error.code]).toEqual([400, -32020])
    const twice = await ask(call('refund', { amount: 1 }), {
      fields: { 'Mcp-Method': 'tools/call, tools/call' },
    })
    expect([twice.status, twice.json().error.code]).toEqual([400, -32020])
    const empty = await ask(undefined, { fields: { 'content-type': 'text/plain' } })
    expect([empty.status, empty.json().error.code]).toEqual([400, expect.any(Number)])
    expect(seen).toEqual([])
  })

  test('checks what the handler reads, whatever the content type says', async () => {
    const text = JSON.stringify(call('other'))
    const answer = await ask(text, { fields: { 'content-type': 'text/plain' } })
    expect(answer.text).toMatch(/"isError":true|-32700|-32600/)
    expect(seen).toEqual([])
  })

  test('lets GET and DELETE pass, and the probes of both eras', async () => {
    for (const method of ['GET', 'DELETE']) {
      const answer = await ask(undefined, { method })
      expect([method, answer.text]).toEqual([method, '{"handled":true}'])
    }
    for (const probe of ['initialize', 'server/discover']) {
      expect((await ask(request(probe, {}))).text).toBe('{"handled":true}')
    }
    expect((await ask(request('initialize'), { scope: 'none' })).status).toBe(403)
  })

  test('marks lists as private, because the server may filter them', async () => {
    expect((await ask(request('tools/list'))).headers.get('cache-control')).toBe('private, no-store')
    expect((await ask(request('ping'))).headers.get('cache-control')).toBeNull()
  })

  test('takes the grant away from a call whose rule is only observed', async () => {
    expect((await ask(call('watched'))).text).toBe('{"handled":true}')
    expect(seen[0]?.grant).toBeUndefined()
  })

  test('answers with HTTP under denials: http, and as onDenied says', async () => {
    const plain = await ask(call('other'), { path: '/http' })
    expect([plain.status, plain.json().code]).toEqual([403, 'agent_not_allowed'])
    const own = await ask(call('other'), { path: '/own' })
    expect([own.status, own.json()]).toEqual([200, { own: 'agent_not_allowed' }])
    const malformed = await ask([], { path: '/own' })
    expect([malformed.status, malformed.json()]).toEqual([
      name === 'Hono 4' ? 200 : 400,
      { own: 'message_malformed' },
    ])
    expect(seen).toEqual([])
  })
})

describe('requireToolIntent in Hono', () => {
  const server = start(honoApp)
  beforeAll(server.open)
  afterAll(server.close)
  const { ask, seen } = server

  test('refuses a name that stands twice in an object, which another server may read otherwise', async () => {
    const twice =
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"other","name":"refund","arguments":{"amount":1}}}'
    expect((await ask(twice)).json().error.code).toBe(-32700)
    expect((await ask(twice.replace('"name":"other",', ''))).text).toBe('{"handled":true}')
  })

  test('refuses text that is no JSON or no UTF-8', async () => {
    const latin1 = Buffer.from('{"jsonrpc":"2.0","id":"é","method":"ping"}', 'latin1')
    for (const text of ['{', '', Uint8Array.from(latin1)]) {
      expect((await ask(text)).json().error.code).toBe(-32700)
    }
    expect(seen).toEqual([])
  })

  test('refuses a body that is longer than the SDKs read', async () => {
    const own = start(honoApp)
    await own.open()
    const long = await own.ask(call('refund', { amount: 1, text: 'x'.repeat(4 * 1024 * 1024) }))
    expect(long.json().error.code).toBe(-32700)
    expect(own.seen).toEqual([])
    own.close()
  })

  test('reads a body that an earlier middleware has parsed, and refuses one that it has used up', async () => {
    expect((await ask(call('refund', { amount: 1 }), { path: '/read/json' })).text).toBe('{"handled":true}')
    expect((await ask(call('other'), { path: '/read/json' })).json().result.isError).toBe(true)
    const form = { path: '/read/form', fields: { 'content-type': 'application/x-www-form-urlencoded' } }
    expect((await ask('{"jsonrpc":"2.0","id":1,"method":"ping"}', form)).status).toBe(400)
  })

  test('takes parsedBody of createMcpHonoApp', async () => {
    const kit = createKit()
    const app = new Hono<{ Variables: forHono.AjwtEnv['Variables'] & { parsedBody: unknown } }>()
    const policy = { ...defaultPolicy(), routes: { 'POST /mcp': 'authenticated' } as const }
    app.use(forHono.ajwt(policy, { now: () => kit.now }))
    app.use(async (c, next) => {
      c.set('parsedBody', await c.req.raw.clone().json())
      await next()
    })
    app.post('/mcp', forHono.requireToolIntent(rules), async (c) => c.json(await c.req.raw.json()))
    const ask = (body: unknown) => {
      const { headers } = kit.call({ method: 'POST', path: '/mcp' })
      const init = { method: 'POST', headers: Object.fromEntries(headers), body: JSON.stringify(body) }
      return app.request('/mcp', init)
    }
    const body = call('refund', { amount: 1 })
    expect(await (await ask(body)).json()).toEqual(body)
    expect((await ask(call('refund', { amount: 51 }))).headers.get('cache-control')).toBe('no-store')
  })
})

test('a body over the limit of the parser never reaches a handler', async () => {
  const server = start((verifier, see) => expressApp(express(), verifier, see))
  await server.open()
  const { status } = await server.ask(call('refund', { amount: 1, text: 'x'.repeat(200_000) }))
  expect(status).toBe(413)
  expect(server.seen).toEqual([])
  server.close()
})

test('two calls at once are checked each by its own rule', async () => {
  const server = start((verifier, see) => expressApp(express(), verifier, see))
  await server.open()
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, at) => server.ask(call(at % 2 === 0 ? 'other' : 'refund', { amount: 1 }))),
  )
  expect(answers.map(({ text }) => text.includes('isError'))).toEqual(answers.map((_, at) => at % 2 === 0))
  server.close()
})

describe('a mistake of the app', () => {
  const middlewares = { forExpress, forKoa, forHono, forFastify }
  test.each(Object.entries(middlewares))('is a PolicyError for %s', (_, { requireToolIntent }) => {
    expect(() => requireToolIntent({} as McpRules)).toThrow(PolicyError)
    expect(() => requireToolIntent({ tools: { a: { scoop: 'x' } } } as unknown as McpRules)).toThrow(/scoop/)
    const req = { method: 'GET', url: '/', headers: {} }
    expect(() => requireToolIntent(req as unknown as McpRules)).toThrow(/without being called/)
  })

  test('is 503 where no ajwt ran before', async () => {
    const app = express().post('/mcp', express.json(), forExpress.requireToolIntent(rules), (_req, res) => {
      res.end('handled')
    })
    const server = await listen(app)
    const response = await fetch(`${server.origin}/mcp`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(request('initialize')),
    })
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([
      503,
      'internal_error',
    ])
    server.close()
  })
})
