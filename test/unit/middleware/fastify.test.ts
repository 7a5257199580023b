import { once } from 'node:events'
import { connect, type OutgoingHttpHeaders } from 'node:http2'
import { text } from 'node:stream/consumers'
import { setTimeout as wait } from 'node:timers/promises'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import fastify4 from 'fastify4'
import { afterEach, describe, expect, it } from 'vitest'
import { AUDIENCE, createKit, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import {
  AjwtDenial,
  type AjwtOptions,
  ajwt,
  checkIntent,
  requireIntent,
} from '../../../middleware/fastify.js'
import { createVerifier, PolicyError } from '../../../src/index.js'
import { fieldsOf, policyOf } from '../../support/routes/tokens.js'

const policy = {
  ...policyOf([]),
  routes: {
    'GET /open': 'public',
    'GET /raw': { scope: 'read' },
    'GET /v1/raw': { scope: 'read' },
    'GET /v1/orders/:id': { scope: 'read' },
  },
} as const

async function credentials(scope = 'read'): Promise<Record<string, string>> {
  return Object.fromEntries(await fieldsOf(new Set([scope])))
}

describe.each([
  ['Fastify 5', fastify],
  ['Fastify 4', fastify4],
])('%s', (_name, framework) => {
  let app: FastifyInstance
  let runs = 0
  afterEach(() => app.close())

  function start(options: Partial<AjwtOptions> = {}, preHandler: ReturnType<typeof requireIntent>[] = []) {
    runs = 0
    app = framework()
    app.register(ajwt, { policy, ...options } as AjwtOptions)
    app.register(
      async (child: FastifyInstance) => {
        child.get('/orders/:id', { preHandler }, async (request: FastifyRequest) => {
          runs++
          const denial = await checkIntent(request, { scope: 'other' })
          return { route: request.ajwt?.route, other: denial?.code }
        })
      },
      { prefix: '/v1' },
    )
    app.get('/undeclared', () => runs++)
    app.get('/open', () => 'open')
    return app
  }

  it('protects the routes of plugins that are registered later, under their prefix, and HEAD', async () => {
    start()
    expect((await app.inject('/v1/orders/1')).statusCode).toBe(401)
    expect((await app.inject({ method: 'HEAD', url: '/v1/orders/1' })).statusCode).toBe(401)
    expect(runs).toBe(0)
    const allowed = await app.inject({ url: '/v1/orders/1', headers: await credentials() })
    expect(allowed.json()).toEqual({ route: '/v1/orders/:id', other: 'scope_insufficient' })
  })

  it('denies a route that no key names, and a path that has no handler', async () => {
    start()
    for (const url of ['/undeclared', '/nowhere', '/V1/orders/1', '/v1/orders/1/']) {
      const response = await app.inject({ url, headers: await credentials() })
      expect([response.statusCode, response.json().code]).toEqual([403, 'route_not_declared'])
    }
    expect(runs).toBe(0)
  })

  it('runs no handler while a slow onSend hook delays the denial', async () => {
    start({}, [requireIntent({ scope: 'other' })])
    app.addHook('onSend', async () => {
      await wait(20)
    })
    expect((await app.inject('/undeclared')).statusCode).toBe(401)
    const response = await app.inject({ url: '/v1/orders/1', headers: await credentials() })
    expect(response.json().code).toBe('scope_insufficient')
    await wait(40)
    expect(runs).toBe(0)
  })

  it('hands what onDenied throws to setErrorHandler, with the challenge', async () => {
    start({
      onDenied: (denial) => {
        throw denial
      },
    })
    app.setErrorHandler((error: unknown, _request: FastifyRequest, reply: FastifyReply) => {
      reply.send({ own: error instanceof AjwtDenial && error.code })
    })
    const response = await app.inject('/v1/orders/1')
    expect([response.statusCode, response.json()]).toEqual([401, { own: 'credentials_missing' }])
    expect(response.headers['www-authenticate']).toContain('DPoP')
    expect(runs).toBe(0)
  })

  it('answers a denial that is thrown with its status and challenge, without an error handler of the app', async () => {
    start({
      onDenied: (denial) => {
        throw denial
      },
    })
    app.get('/v1/raw', async (request: FastifyRequest) => {
      throw await checkIntent(request, { scope: 'other' })
    })
    const ofPlugin = await app.inject('/v1/orders/1')
    expect(ofPlugin.statusCode).toBe(401)
    expect(ofPlugin.headers['www-authenticate']).toContain('DPoP')
    const ofHandler = await app.inject({ url: '/v1/raw', headers: await credentials() })
    expect(ofHandler.statusCode).toBe(403)
    expect(ofHandler.headers['www-authenticate']).toContain('scope="read other"')
  })

  it.each<[string, AjwtOptions['onDenied'], unknown]>([
    ['sends', (_denial, _request, reply) => void reply.send({ own: 1 }), { own: 1 }],
    ['returns a payload', async () => ({ own: 2 }), { own: 2 }],
    ['returns the reply', (_denial, _request, reply) => reply.send({ own: 3 }), { own: 3 }],
    ['returns the reply unsent', (_denial, _request, reply) => reply.header('x-own', '1'), expect.anything()],
    ['sees no forged grant', (_denial, request) => ({ grant: request.ajwt ?? null }), { grant: null }],
    ['does nothing', () => undefined, expect.objectContaining({ code: 'credentials_missing' })],
    ['throws nothing', () => Promise.reject(undefined), expect.objectContaining({ statusCode: 401 })],
  ])('lets nobody in where onDenied %s', async (_what, onDenied, body) => {
    runs = 0
    app = framework()
    app.addHook('onRequest', async (request: FastifyRequest) => {
      request.ajwt = { agent: { id: 'forged' } } as never
    })
    app.decorateRequest('ajwt', undefined)
    app.register(ajwt, { policy, onDenied } as AjwtOptions)
    app.get('/v1/orders/:id', () => runs++)
    app.addHook('onSend', async () => {
      await wait(5)
    })
    const response = await app.inject('/v1/orders/1')
    expect([response.statusCode, response.json()]).toEqual([401, body])
    expect(runs).toBe(0)
  })

  it('serves the metadata, with a query and to a preflight', async () => {
    start()
    const url = '/.well-known/oauth-protected-resource?x=1'
    expect((await app.inject(url)).json()).toHaveProperty('resource')
    expect((await app.inject({ method: 'OPTIONS', url })).statusCode).toBe(204)
  })

  it('sends the nonce with a reply that the handler writes itself', async () => {
    start({ policy: { ...policy, proof: { nonce: 'required' }, mode: 'observe' } })
    app.get('/raw', (_request: FastifyRequest, reply: FastifyReply) => {
      reply.hijack()
      reply.raw.writeHead(200, { 'content-type': 'text/plain' }).end('raw')
    })
    const response = await app.inject({ url: '/raw', headers: await credentials() })
    expect(response.headers).toMatchObject({
      'dpop-nonce': expect.any(String),
      'cache-control': 'no-store',
    })
  })

  it.each<[string, object, string]>([
    ['no policy', {}, 'must have either `policy` or `verifier`'],
    ['a policy and a verifier', { policy, verifier: createVerifier(policy) }, 'must have either'],
    [
      'options beside a verifier',
      { verifier: createVerifier(policy), now: () => 0 },
      'belong to createVerifier',
    ],
    ['a policy that is wrong', { policy: { ...policy, routes: { '/orders': 'public' } } }, 'METHOD /path'],
  ])('ends the start with what is wrong with its options: %s', async (_what, options, message) => {
    app = framework()
    app.register(ajwt, options as AjwtOptions)
    const error: unknown = await Promise.resolve(app.ready()).then(
      () => undefined,
      (reason) => reason,
    )
    expect(error).toBeInstanceOf(PolicyError)
    expect((error as Error).message).toContain(message)
  })

  it('says what to write where it is called as a function', () => {
    app = framework()
    const call = ajwt as unknown as (policy: object) => void
    expect(() => call(policy)).toThrow('app.register(ajwt, { policy })')
  })

  it('takes the options of register for its own', async () => {
    start({ prefix: '/v2', logLevel: 'warn' } as object)
    expect((await app.inject('/v1/orders/1')).statusCode).toBe(401)
  })

  it('protects routes and plugins of its instance that were registered earlier', async () => {
    app = framework()
    app.get('/root', () => 'root')
    await app.register(async (early: FastifyInstance) => {
      early.get('/early', () => 'early')
      early.register(async (deep: FastifyInstance) => void deep.get('/deep', () => 'deep'))
    })
    app.register(ajwt, { policy })
    for (const url of ['/root', '/early', '/deep']) expect((await app.inject(url)).statusCode).toBe(401)
  })

  it('protects the instance that registers it, and nothing beside it', async () => {
    app = framework()
    app.register(async (outer: FastifyInstance) => {
      outer.register(async (inner: FastifyInstance) => {
        inner.get('/before', () => 'before')
        inner.register(ajwt, { policy })
        inner.get('/after', () => 'after')
      })
      outer.get('/beside', () => 'beside')
    })
    const statuses = async (urls: string[]) =>
      Promise.all(urls.map(async (url) => (await app.inject(url)).statusCode))
    expect(await statuses(['/beside'])).toEqual([200])
    expect(await statuses(['/before', '/after'])).toEqual([401, 401])
  })

  it('decides once for a verifier that is registered twice, and takes a grant of another for nothing', async () => {
    const outer = createVerifier({ ...policy, unmatched: 'authenticate' })
    let decisions = 0
    const inner = createVerifier(policy, { onDecision: () => void decisions++ })
    app = framework()
    app.register(ajwt, { verifier: outer })
    app.register(ajwt, { verifier: inner })
    app.register(ajwt, { verifier: inner })
    app.get('/open', (request: FastifyRequest) => ({ grant: request.ajwt ?? null }))
    expect((await app.inject({ url: '/open', headers: await credentials() })).json()).toEqual({ grant: null })
    expect(decisions).toBe(1)
  })

  it('removes the grant where an observed rule of requireIntent does not hold', async () => {
    start({}, [requireIntent({ scope: 'other', mode: 'observe' })])
    const response = await app.inject({ url: '/v1/orders/1', headers: await credentials() })
    expect([response.statusCode, response.json()]).toEqual([200, { other: 'scope_insufficient' }])
  })

  it('leaves a path that no route matches to the policy', async () => {
    start({ policy: { ...policy, unmatched: 'public' } })
    app.setNotFoundHandler((_request: FastifyRequest, reply: FastifyReply) => reply.code(404).send('own'))
    const answers = async (url: string, headers = {}) => {
      const { statusCode, body } = await app.inject({ url, headers })
      return [statusCode, body.startsWith('{') ? JSON.parse(body).code : body]
    }
    expect(await answers('/nowhere')).toEqual([404, 'own'])
    // A path that is declared, though it has no handler here, and other spellings of one.
    expect(await answers('/raw')).toEqual([401, 'credentials_missing'])
    expect(await answers('/raw', await credentials())).toEqual([404, 'own'])
    for (const url of ['/RAW', '/raw/', '//raw', '/x/../raw', '/v1/orders/..%2Fx', '/nowhere%00']) {
      expect(await answers(url)).toEqual([401, 'credentials_missing'])
    }
  })

  it('ends a reply that another hook has begun, and runs no handler', async () => {
    runs = 0
    app = framework()
    app.addHook('onRequest', (_request: FastifyRequest, reply: FastifyReply, done: () => void) => {
      reply.raw.writeHead(200, { 'content-type': 'text/plain' }).write('begun')
      done()
    })
    app.register(ajwt, { policy })
    app.get('/raw', () => runs++)
    const response = await app.inject('/raw')
    expect([response.statusCode, response.body, runs]).toEqual([200, 'begun', 0])
  })

  it('lets a reply that another hook has begun go on', async () => {
    app = framework()
    app.addHook('onRequest', (_request: FastifyRequest, reply: FastifyReply, done: () => void) => {
      reply.raw.writeHead(200, { 'content-type': 'text/plain' }).write('begun')
      done()
    })
    app.register(ajwt, { policy: { ...policy, proof: { nonce: 'required' }, mode: 'observe' } })
    app.get('/raw', (_request: FastifyRequest, reply: FastifyReply) => {
      reply.hijack()
      reply.raw.end(', ended')
    })
    expect((await app.inject({ url: '/raw', headers: await credentials() })).body).toBe('begun, ended')
  })

  it('does not cut off an answer that was begun while the verifier waited', async () => {
    const revocations = { isRevoked: () => wait(20).then(() => true) }
    runs = 0
    app = framework()
    app.addHook('onRequest', (_request: FastifyRequest, reply: FastifyReply, done: () => void) => {
      setTimeout(() => reply.raw.writeHead(503).write('time'), 5)
      setTimeout(() => reply.raw.end('out'), 60)
      done()
    })
    app.register(ajwt, { policy, revocations })
    app.get('/raw', () => runs++)
    const response = await app.inject({ url: '/raw', headers: await credentials() })
    expect([response.statusCode, response.body, runs]).toEqual([503, 'timeout', 0])
  })

  it('denies a request that the app dispatches to another route, or with other parameters', async () => {
    const verifier = createVerifier({
      ...policy,
      routes: { 'GET /api/*': 'public', 'GET /api/admin': { scope: 'read' }, 'GET /items/:id': 'public' },
    })
    const reached: string[] = []
    const inner = framework() as FastifyInstance
    await inner.register(ajwt, { verifier })
    inner.get('/api/admin', async () => void reached.push('admin'))
    inner.get('/items/:id', async () => void reached.push('item'))
    await inner.ready()
    app = framework() as FastifyInstance
    app.register(ajwt, { verifier })
    app.get('/api/*', (request: FastifyRequest, reply: FastifyReply) => {
      reply.hijack()
      inner.routing(request.raw, reply.raw)
    })
    app.get('/items/:id', (request: FastifyRequest, reply: FastifyReply) => {
      reply.hijack()
      // As layers in front do that keep the first URL.
      Object.assign(request.raw, { originalUrl: request.raw.url, url: '/items/2' })
      inner.routing(request.raw, reply.raw)
    })
    for (const url of ['/api/admin', '/items/1']) {
      const { statusCode, body } = await app.inject(url)
      expect([url, statusCode, JSON.parse(body).code]).toEqual([url, 403, 'route_not_declared'])
    }
    expect(reached).toEqual([])
    await inner.close()
  })

  it('compares a proof with the URL that the client has called, and the route with the rewritten one', async () => {
    const kit = createKit(Date.now())
    app = framework({ rewriteUrl: ({ url = '' }) => url.replace('/api/', '/') })
    app.register(ajwt, {
      policy: {
        issuer: { url: ISSUER, jwks: issuerJwks() },
        audience: AUDIENCE,
        routes: { 'GET /orders/:id': 'authenticated' },
      },
    })
    app.get('/orders/:id', (request: FastifyRequest) => request.params)
    const { headers } = kit.call({ path: '/api/orders/42' })
    const response = await app.inject({ url: '/api/orders/42', headers: Object.fromEntries(headers) })
    expect([response.statusCode, response.json()]).toEqual([200, { id: '42' }])
  })

  it('protects a server of HTTP/2', async () => {
    app = framework({ http2: true }) as unknown as FastifyInstance
    app.register(ajwt, { policy })
    app.get('/v1/orders/:id', (request: FastifyRequest) => ({ readBy: request.ajwt?.agent.id }))
    const session = connect(await app.listen({ port: 0, host: '127.0.0.1' }))
    async function ask(headers: OutgoingHttpHeaders) {
      const stream = session.request({ ':path': '/v1/orders/1', ...headers })
      const [{ ':status': status, 'www-authenticate': challenge }] = await once(stream, 'response')
      return [status, challenge, JSON.parse(await text(stream))]
    }
    const denied = expect.objectContaining({ code: 'credentials_missing' })
    expect(await ask({})).toEqual([401, expect.stringContaining('DPoP'), denied])
    expect(await ask(await credentials())).toEqual([200, undefined, { readBy: 'agent' }])
    const [status, , body] = await ask({ ':method': 'POST', ...(await credentials()) })
    expect([status, body.code]).toEqual([403, 'route_not_declared'])
    session.close()
  })

  it('keeps the CORS fields that the app has set on the metadata', async () => {
    app = framework()
    app.addHook('onRequest', async (_request: FastifyRequest, reply: FastifyReply) => {
      reply.header('access-control-allow-origin', 'https://page.example.com')
    })
    app.register(ajwt, { policy })
    const { headers } = await app.inject('/.well-known/oauth-protected-resource')
    expect(headers['access-control-allow-origin']).toBe('https://page.example.com')
  })
})
