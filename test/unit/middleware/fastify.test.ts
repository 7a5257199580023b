import { setTimeout as wait } from 'node:timers/promises'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import fastify4 from 'fastify4'
import { afterEach, describe, expect, it } from 'vitest'
import {
  AjwtDenial,
  type AjwtOptions,
  ajwt,
  checkIntent,
  requireIntent,
} from '../../../middleware/fastify.js'
import { PolicyError } from '../../../src/index.js'
import { fieldsOf, policyOf } from '../../support/routes/tokens.js'

const policy = {
  ...policyOf([]),
  routes: { 'GET /open': 'public', 'GET /raw': { scope: 'read' }, 'GET /v1/orders/:id': { scope: 'read' } },
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

  it.each<[string, AjwtOptions['onDenied'], unknown]>([
    ['sends', (_denial, _request, reply) => void reply.send({ own: 1 }), { own: 1 }],
    ['returns a payload', async () => ({ own: 2 }), { own: 2 }],
    ['returns the reply', (_denial, _request, reply) => reply.send({ own: 3 }), { own: 3 }],
    ['does nothing', () => undefined, expect.objectContaining({ code: 'credentials_missing' })],
    ['throws nothing', () => Promise.reject(undefined), expect.objectContaining({ statusCode: 401 })],
  ])('lets nobody in where onDenied %s', async (_what, onDenied, body) => {
    start({ onDenied } as Partial<AjwtOptions>)
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

  it('says at start what is wrong with its options', async () => {
    app = framework()
    app.register(ajwt, {} as AjwtOptions)
    await expect(app.ready()).rejects.toThrow(PolicyError)
  })
})
