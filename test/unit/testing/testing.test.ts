import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import supertest from 'supertest'
import { afterEach, describe, expect, it } from 'vitest'
import { frameworks, type RunningApp } from '../../../fixtures/frameworks.js'
import { createVerifier, type Policy } from '../../../src/index.js'
import { createTestIssuer } from '../../../src/testing/index.js'

const apps: RunningApp[] = []
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close()
})

const issuer = createTestIssuer({ audience: 'https://orders.example.com' })
const policy = {
  issuer: issuer.policyIssuer,
  audience: issuer.audience,
  routes: {
    'GET /orders/:id': { scope: 'orders:read' },
    'POST /orders/:id/refund': {
      scope: 'orders:refund',
      intent: { workflow: 'refund', step: 'issue' },
      user: { acr: ['phr'] },
    },
  },
  workflows: { refund: { steps: ['look', 'issue'] } },
} satisfies Policy
const read = { url: '/orders/42', scope: 'orders:read' }
const refund = {
  method: 'POST',
  url: '/orders/42/refund',
  agent: 'refunder',
  scope: 'orders:refund',
  intent: { workflow: 'refund', step: 'issue', completedSteps: ['look'] },
  user: { acr: 'phr' },
}

async function start(name: string, policies: readonly Policy[] = [policy]): Promise<RunningApp> {
  const routes = [
    { method: 'get', path: '/orders/:id' },
    { method: 'post', path: '/orders/:id/refund' },
  ] as const
  const app = await (frameworks[name] as (typeof frameworks)[string])({ policies, routes })
  apps.push(app)
  return app
}

describe.each(Object.keys(frameworks))('a test of an app with %s', (name) => {
  it('calls a protected route in one line', async () => {
    const { origin } = await start(name)
    const answer = await supertest(origin).get('/orders/42').set(issuer.headers(read)).expect(200)
    expect(answer.body).toMatchObject({ grant: { agent: { id: 'test-agent' } } })
  })

  it('attacks its routes in one line, and finds each attack refused', async () => {
    const { origin, runs } = await start(name)
    const rows = [...(await issuer.attacks(origin, read)), ...(await issuer.attacks(origin, refund))]
    expect(rows.filter(({ ok }) => !ok)).toEqual([])
    expect(rows.length).toBeGreaterThan(80)
    // For each route the honest request, and the one whose proof was then used again.
    expect(runs()).toBe(4)
  })
})

describe('the attacks', () => {
  const broken = (rows: Awaited<ReturnType<typeof issuer.attacks>>) => {
    const [honest, ...attacks] = rows
    expect(honest).toMatchObject({ name: 'the honest request', ok: true })
    return { caught: attacks.filter(({ ok }) => ok).map(({ name }) => name), all: attacks.length, attacks }
  }

  it('all reach an app without the middleware, and are reported as such', async () => {
    const { origin } = await start('Express 5', [])
    const { caught, attacks } = broken(await issuer.attacks(origin, read))
    // Not even the path that this app does not have: its 404 is no refusal.
    expect(caught).toEqual([])
    expect(attacks.find(({ name }) => name === 'no credentials')).toEqual({
      name: 'no credentials',
      expected: '401 credentials_missing',
      got: '200',
      ok: false,
    })
  })

  it('find out an app that checks nothing but the signature', async () => {
    const keys = createLocalJWKSet(issuer.policyIssuer.jwks as JSONWebKeySet)
    const app = async ({ headers }: Request) => {
      try {
        // No clock, audience, proof or intent: a day's grace lets everything in.
        const token = headers.get('authorization')?.split(' ')[1] ?? ''
        await jwtVerify(token, keys, { clockTolerance: 10 * 86_400 })
        return Response.json({ ok: true })
      } catch {
        return Response.json({ message: 'no' }, { status: 401 })
      }
    }
    const { caught } = broken(await issuer.attacks(app, refund))
    expect(caught).toEqual([
      'no credentials',
      'an unsigned token (alg none)',
      "a token signed with HMAC, with the issuer's public key as the secret",
      "a token signed with another key under the issuer's kid",
      'a token signed with a key from its own header',
      'a token altered after it was signed',
    ])
  })

  it('find out an app that only watches, and one whose policy asks for less than was said', async () => {
    const watching = await start('Hono 4', [{ ...policy, mode: 'observe' }])
    expect(broken(await issuer.attacks(watching.origin, read)).caught).toEqual([])
    const lax = {
      ...policy,
      routes: { ...policy.routes, 'POST /orders/:id/refund': 'authenticated' as const },
    }
    const { origin } = await start('Hono 4', [lax])
    const { attacks } = broken(await issuer.attacks(origin, refund))
    expect(attacks.filter(({ ok }) => !ok)).toEqual(
      ['scope', 'workflow', 'step', 'step whose', 'without user authentication'].map((part) =>
        expect.objectContaining({ name: expect.stringContaining(part), got: '200' }),
      ),
    )
  })

  it('do not count if the honest request itself is denied or gets no answer', async () => {
    const { origin } = await start('Koa 3')
    const [honest] = await issuer.attacks(origin, { ...read, scope: 'orders:write' })
    expect(honest).toMatchObject({ ok: false, got: '403 scope_insufficient' })
    const rows = await issuer.attacks('http://127.0.0.1:1', read)
    expect(rows.every(({ ok, got }) => !ok && got.startsWith('failed: '))).toBe(true)
    const [missing] = await issuer.attacks(() => new Response(null, { status: 404 }), read)
    expect(missing).toMatchObject({ ok: false, got: '404' })
  })

  it('take a function for an app, follow its nonces, and send what the route needs', async () => {
    const verifier = createVerifier({ ...policy, proof: { nonce: 'required' } })
    const bodies: string[] = []
    const app = async (request: Request) => {
      const refusal = verifier.respond(await verifier.verify(request))
      if (refusal) return refusal
      bodies.push(`${request.headers.get('x-tenant')} ${await request.text()}`)
      return new Response(null, { status: 204 })
    }
    const rows = await issuer.attacks(app, {
      ...refund,
      body: '{"all":true}',
      headers: { 'x-tenant': 'one' },
    })
    expect(rows.filter(({ ok }) => !ok)).toEqual([])
    expect(new Set(bodies)).toEqual(new Set(['one {"all":true}']))
    const names = rows.map(({ name }) => name)
    expect(names).toContain('a proof with a nonce that the API did not issue')
    // The nonce tells the time in place of iat.
    expect(names).not.toContain('a proof from yesterday')
  })

  it('count a denial for another reason as a failure: what it hides may be open', async () => {
    const verifier = createVerifier(policy)
    const app = async (request: Request) => {
      const { outcome } = await verifier.verify(request)
      return outcome === 'allow' ? new Response() : Response.json({ code: 'token_expired' }, { status: 401 })
    }
    expect(broken(await issuer.attacks(app, read)).caught).toEqual(['an expired token'])
  })

  it('go under a delegation, where the route needs one', async () => {
    const delegation = issuer.delegate(['planner', 'worker'], { scope: 'orders:read' })
    const routes = { 'GET /orders/:id': { scope: 'orders:read', delegation: { required: true } } }
    const verifier = createVerifier({ ...policy, routes })
    const app = async (request: Request) =>
      verifier.respond(await verifier.verify(request)) ?? new Response('ok')
    const rows = await issuer.attacks(app, { url: '/orders/1', delegation })
    expect(rows.filter(({ ok }) => !ok)).toEqual([])
  })
})
