import supertest from 'supertest'
import { afterEach, describe, expect, it } from 'vitest'
import { type AppSpec, frameworks, type RunningApp } from '../../../fixtures/frameworks.js'
import { AUDIENCE, createKit, ISSUER, issuerJwks, type Kit } from '../../../fixtures/kit.js'
import { createVerifier, type Policy, PolicyError } from '../../../src/index.js'

const policy: Policy = {
  issuer: { url: ISSUER, jwks: issuerJwks() },
  audience: AUDIENCE,
  routes: {
    'GET /health': 'public',
    'GET /orders/:id': { scope: 'orders:read' },
    'GET /open': { anonymous: true },
    'POST /orders/:id/refund': 'authenticated',
  },
}

/** Any answer: JSON of no more than this shape. */
type Body = { readonly code?: string; readonly grant?: unknown }

interface Received {
  readonly status: number
  readonly headers: Headers
  readonly body: Body
}

/** A request as users' own tests make it. */
async function request(
  app: RunningApp,
  path: string,
  { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
): Promise<Received> {
  const agent = supertest(app.origin)
  const verb = method.toLowerCase() as 'get' | 'post' | 'delete'
  const answer = await agent[verb](path).set(headers)
  return { status: answer.status, headers: new Headers(answer.headers), body: answer.body as Body }
}

/** An honest call, but for what is overridden. */
function send(
  app: RunningApp,
  kit: Kit,
  path: string,
  over: { method?: string; claims?: Record<string, unknown>; token?: string; nonce?: string } = {},
) {
  const { method = 'GET', claims = {}, token = kit.token({ claims }), nonce } = over
  const { headers } = kit.call({
    method,
    path,
    token,
    proof: nonce === undefined ? {} : { claims: { nonce } },
  })
  return request(app, path, { method, headers: Object.fromEntries(headers) })
}

describe.each(Object.entries(frameworks))('on %s', (_, start) => {
  const running: RunningApp[] = []
  afterEach(async () => {
    for (const app of running.splice(0)) await app.close()
  })

  async function startApp(spec: Partial<AppSpec> = {}): Promise<{ app: RunningApp; kit: Kit }> {
    const kit = createKit(Date.now())
    const app = await start({
      policies: [policy],
      routes: [
        { method: 'get', path: '/health' },
        { method: 'get', path: '/orders/:id' },
        { method: 'get', path: '/open' },
      ],
      ...spec,
    })
    running.push(app)
    return { app, kit }
  }

  it('hands the verified grant to the handler, and nothing that stood in its place', async () => {
    const { app, kit } = await startApp()
    const honest = await send(app, kit, '/orders/42')
    expect(honest.body.grant).toMatchObject({
      agent: { id: 'agent-7' },
      params: { id: '42' },
      route: '/orders/:id',
    })
    for (const path of ['/health', '/open']) {
      const answer = await request(app, path)
      expect([answer.status, answer.body]).toEqual([200, { route: path, grant: null }])
    }
  })

  it('decides once, however often its verifier stands in the way', async () => {
    const decisions: string[] = []
    const verifier = createVerifier(policy, { onDecision: ({ outcome }) => void decisions.push(outcome) })
    const { app, kit } = await startApp({ policies: [verifier, verifier, verifier] })
    // A second look at the same proof would find it replayed.
    expect((await send(app, kit, '/orders/42')).status).toBe(200)
    expect(decisions).toEqual(['allow'])
  })

  it('lets two verifiers each decide', async () => {
    const { app, kit } = await startApp({
      policies: [policy, { ...policy, audience: 'https://other.example.com' }],
    })
    const answer = await send(app, kit, '/orders/42')
    expect([answer.status, answer.body.code]).toEqual([401, 'audience_mismatch'])
    expect(app.runs()).toBe(0)
  })

  it('serves its metadata without credentials, at the root', async () => {
    const { app } = await startApp({ policies: [{ ...policy, audience: `${AUDIENCE}/api` }] })
    for (const path of [
      '/.well-known/oauth-protected-resource',
      '/.well-known/oauth-protected-resource/api',
    ]) {
      const answer = await request(app, path)
      expect(answer.headers.get('content-type')).toBe('application/json')
      expect(answer.body).toEqual({
        resource: `${AUDIENCE}/api`,
        authorization_servers: [ISSUER],
        scopes_supported: ['orders:read'],
        bearer_methods_supported: ['header'],
        dpop_signing_alg_values_supported: expect.arrayContaining(['ES256', 'EdDSA']),
        dpop_bound_access_tokens_required: true,
      })
    }
    expect((await request(app, '/.well-known/oauth-protected-resource/other')).status).toBe(401)
    expect((await request(app, '/.well-known/oauth-protected-resource', { method: 'POST' })).status).toBe(401)
  })

  it('sends the nonce on what it lets in, for no cache to keep', async () => {
    const verifier = createVerifier({ ...policy, proof: { nonce: 'required' } })
    const { app, kit } = await startApp({ policies: [verifier] })
    const refused = await send(app, kit, '/orders/42')
    const nonce = refused.headers.get('dpop-nonce') ?? ''
    expect([refused.status, refused.body.code]).toEqual([401, 'proof_nonce_required'])
    const answer = await send(app, kit, '/orders/42', { nonce })
    expect(answer.status).toBe(200)
    // Another one if ten seconds have just ended.
    expect(answer.headers.get('dpop-nonce')).toMatch(/^[\w-]{43}$/)
    expect(answer.headers.get('cache-control')).toBe('no-store')
  })

  describe('requireIntent', () => {
    const refund = '/orders/:id/refund'
    const withRule = (
      rule: NonNullable<AppSpec['routes'][number]['rule']>,
      path = refund,
    ): Partial<AppSpec> => ({
      routes: [{ method: 'post', path, rule }],
    })

    it('applies one more rule, with the parameters of its handler', async () => {
      const { app, kit } = await startApp(
        withRule({ claims: { '/order_id': { param: 'order' } } }, '/orders/:order/refund'),
      )
      const other = await send(app, kit, '/orders/42/refund', { method: 'POST', claims: { order_id: '43' } })
      expect([other.status, other.body.code]).toEqual([403, 'claim_not_allowed'])
      expect(app.runs()).toBe(0)
      expect(
        (await send(app, kit, '/orders/42/refund', { method: 'POST', claims: { order_id: '42' } })).status,
      ).toBe(200)
      expect(
        (await send(app, kit, '/orders/42/refund', { method: 'POST', claims: { order_id: 42 } })).status,
      ).toBe(200)
    })

    it('knows the workflows of the policy that let the request in', async () => {
      const workflows = { refund: { steps: ['review', 'issue'] } }
      const { app, kit } = await startApp({
        policies: [{ ...policy, workflows }],
        ...withRule({ intent: { workflow: 'refund', step: 'issue' } }),
      })
      const answer = await send(app, kit, '/orders/42/refund', { method: 'POST' })
      expect([answer.status, answer.body.code]).toEqual([403, 'step_out_of_order'])
    })

    it('refuses what was let in without a grant, and names its scope', async () => {
      const policies: Policy[] = [{ ...policy, routes: { 'POST /orders/:id/refund': 'public' } }]
      const { app, kit } = await startApp({ policies, ...withRule({ scope: 'orders:read' }) })
      const answer = await send(app, kit, '/orders/42/refund', { method: 'POST' })
      expect([answer.status, answer.body.code]).toEqual([401, 'credentials_missing'])
      expect(answer.headers.get('www-authenticate')).toMatch(/^DPoP scope="orders:read", algs="/)
      expect(app.runs()).toBe(0)
    })

    it('fails for a request that no ajwt middleware has handled', async () => {
      const { app, kit } = await startApp({ policies: [], ...withRule({ scope: 'orders:read' }) })
      const answer = await send(app, kit, '/orders/42/refund', { method: 'POST' })
      expect([answer.status, answer.body.code]).toEqual([503, 'internal_error'])
      expect(answer.headers.get('www-authenticate')).toBeNull()
      expect(app.runs()).toBe(0)
    })

    it('goes on under observe, without a grant', async () => {
      const { app, kit } = await startApp({
        policies: [{ ...policy, mode: 'observe' }],
        ...withRule({ scope: 'nobody' }),
      })
      const refused = await request(app, '/orders/42/refund', { method: 'POST' })
      expect(refused.body).toEqual({ route: refund, grant: null })
      // The policy allowed the request: a denial of the handler's own rule is only reported.
      expect((await send(app, kit, '/orders/42/refund', { method: 'POST' })).status).toBe(200)
    })

    it('uses a token up once across routes and requests', async () => {
      const { app, kit } = await startApp(withRule({ once: true }))
      const token = kit.token()
      const use = () => send(app, kit, '/orders/42/refund', { method: 'POST', token })
      const answers = await Promise.all([use(), use(), use(), use(), use()])
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 401, 401, 401, 401])
      expect(app.runs()).toBe(1)
    })

    it('throws at once where the rule is wrong', async () => {
      const wrong = startApp(withRule({ scope: 'a b', intent: { workflow: '' } }))
      await expect(wrong).rejects.toThrow(PolicyError)
      await expect(wrong).rejects.toThrow(/scope.*intent\.workflow/s)
    })
  })
})
