import { describe, expect, it } from 'vitest'
import { AUDIENCE, createKit, ISSUER, issuerJwks } from '../../fixtures/kit.js'
import { createVerifier, type Policy } from '../../src/index.js'

const policy: Policy = {
  issuer: { url: ISSUER, jwks: issuerJwks() },
  audience: AUDIENCE,
  routes: { 'GET /health': 'public', 'GET /orders/:id': { scope: 'orders:read' } },
}

describe('without a framework', () => {
  const verifier = createVerifier(policy)

  /** A handler as Next.js, SvelteKit and Workers have it: a Request in, a Response out. */
  async function handle(request: Request): Promise<Response> {
    const decision = await verifier.verify(request)
    const refusal = verifier.respond(decision)
    if (refusal !== undefined) return refusal
    return Response.json({ agent: decision.outcome === 'allow' ? decision.grant.agent.id : null })
  }

  it('takes a Request, and answers with a Response', async () => {
    const kit = createKit(Date.now())
    const { headers } = kit.call()
    const honest = new Request(`${AUDIENCE}/orders/42`, { headers: Object.fromEntries(headers) })
    expect(await (await handle(honest.clone())).json()).toEqual({ agent: 'agent-7' })
    const replayed = await handle(honest)
    expect([replayed.status, replayed.headers.get('content-type')]).toEqual([401, 'application/json'])
    expect(replayed.headers.get('www-authenticate')).toMatch(/^DPoP error="invalid_dpop_proof"/)
    expect(await replayed.json()).toMatchObject({ error: 'invalid_dpop_proof', code: 'proof_replayed' })
  })

  it('has no answer to what may go on', async () => {
    const decision = await verifier.verify(new Request(`${AUDIENCE}/health`))
    expect([decision.outcome, verifier.respond(decision)]).toEqual(['public', undefined])
    const observing = createVerifier({ ...policy, mode: 'observe' })
    const observed = await observing.verify(new Request(`${AUDIENCE}/orders/42`))
    expect([observed.outcome, observing.respond(observed)]).toEqual(['observe', undefined])
  })

  it.each([
    ['another letter case', '/ORDERS/42'],
    ['a last slash', '/orders/42/'],
    ['an encoded letter', '/%6frders/42'],
  ])('counts %s as undeclared, since frameworks differ', async (_, path) => {
    const kit = createKit(Date.now())
    const { headers } = kit.call({ path })
    const answer = await handle(new Request(AUDIENCE + path, { headers: Object.fromEntries(headers) }))
    expect([answer.status, (await answer.json()) as object]).toEqual([
      403,
      expect.objectContaining({ code: 'route_not_declared' }),
    ])
  })
})
