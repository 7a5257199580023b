import express from 'express'
import { generateKeyPair } from 'jose'
import { describe, expect, it } from 'vitest'
import { startAuthorizationServer } from '../../../fixtures/authorization-server/server.js'
import { listen } from '../../../fixtures/demo/listen.js'
import { ajwt } from '../../../middleware/express.js'
import {
  type AgentClientOptions,
  type AgentDefinition,
  AgentTokenError,
  AjwtDeniedError,
  agentChecksum,
  type ClientAuth,
  createAgentClient,
  intentHash,
} from '../../../src/agent/index.js'
import { memoryRevocations, type Policy } from '../../../src/index.js'
import { agent, closeLater, failure } from '../../support/agent/setup.js'
import { registerClient } from '../../support/independent-client.js'

const SCOPES = ['orders:read', 'orders:refund', 'stock:reserve']
const seed = new Uint8Array(32).fill(9)

/** oidc-provider on the one side, ajwt/express on the other, nonces asked for by both. */
async function real() {
  const server = await startAuthorizationServer({
    resources: {},
    requireNonce: true,
    workflows: {
      refund: [
        { id: 'look', scopes: ['orders:read'] },
        { id: 'review', scopes: ['orders:read'] },
        { id: 'issue', scopes: ['orders:refund', 'stock:reserve'] },
      ],
    },
  })
  closeLater(server)
  const registered = await registerDynamicClient(server.issuer)
  for (const id of ['supervisor', 'planner', 'worker']) {
    const definition = agent(id)
    await server.registry.register({ definition, checksum: await agentChecksum(definition), scopes: SCOPES })
    server.registry.permit(registered.clientId, id)
  }
  const client = (id: string, options: Partial<AgentClientOptions> = {}) =>
    createAgentClient({
      agent: agent(id),
      tokenEndpoint: `${server.issuer}/token`,
      clientAuth: registered,
      seed,
      ...options,
    })
  const api = async (routes: Policy['routes'], more: Partial<Policy> = {}) => {
    const http = await listen()
    closeLater(http)
    server.addResource(http.origin, SCOPES)
    const revocations = memoryRevocations()
    const app = express()
    const policy = {
      issuer: server.issuer,
      audience: http.origin,
      proof: { nonce: 'required' },
      ...more,
    } as const
    app.use(ajwt({ ...policy, routes }, { revocations }))
    const grants: NonNullable<express.Request['ajwt']>[] = []
    app.use((req, res) => {
      if (req.ajwt) grants.push(req.ajwt)
      res.json({ by: req.ajwt?.agent.id })
    })
    http.serve(app)
    return { origin: http.origin, grants, revocations }
  }
  return { server, registered, client, api }
}

/** RFC 7591, with plain fetch. */
async function registerDynamicClient(
  issuer: string,
  metadata: object = { token_endpoint_auth_method: 'client_secret_basic' },
): Promise<ClientAuth & { clientId: string }> {
  const response = await fetch(`${issuer}/reg`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      grant_types: ['urn:ietf:params:oauth:grant-type:agent_checksum'],
      response_types: [],
      redirect_uris: [],
      ...metadata,
    }),
  })
  const { client_id: clientId, client_secret: clientSecret } = (await response.json()) as Record<
    string,
    string
  >
  if (!clientId) throw new Error(`registration: ${response.status}`)
  return { method: 'client_secret_basic', clientId, clientSecret: clientSecret ?? '' }
}

describe('against oidc-provider and ajwt/express', () => {
  it('an agent does a workflow, step by step, and both servers challenge it for a nonce', async () => {
    const { server, client, api } = await real()
    const orders = await api(
      {
        'GET /orders/:id': { scope: 'orders:read', intent: { workflow: 'refund', step: ['look', 'review'] } },
        'POST /orders/:id/refund': { scope: 'orders:refund', intent: { workflow: 'refund', step: 'issue' } },
      },
      { workflows: { refund: { steps: ['look', 'review', 'issue'] } } },
    )
    const planner = client('planner')
    const hash = await intentHash('Refund order 7')
    const approval = { user: 'user:alice', intentHash: hash, agentId: 'planner', acr: 'phr', amr: [] }
    server.registry.approve({ ...approval, authTime: Math.floor(Date.now() / 1000) })
    const run = planner.startWorkflow('refund', { hash })
    const read = () => planner.fetch(`${orders.origin}/orders/7`, { intent: { scope: 'orders:read' } })
    const pay = () =>
      planner.fetch(`${orders.origin}/orders/7/refund`, {
        method: 'POST',
        intent: { scope: 'orders:refund' },
      })
    await run.step('look', read)
    // The review is skipped: the authorization server gives no token for it.
    const early = await failure(run.step('issue', pay), AgentTokenError)
    expect([early.error, early.status]).toEqual(['invalid_grant', 400])
    await run.step('review', read)
    const response = await run.step('issue', pay)
    expect(await response.json()).toEqual({ by: 'planner' })
    expect(orders.grants.map(({ intent }) => [intent.workflowId, intent.step, intent.hash])).toEqual([
      ['refund', 'look', hash],
      ['refund', 'review', hash],
      ['refund', 'issue', hash],
    ])
    // A token for a step that the route is not for.
    const wrong = planner.fetch(`${orders.origin}/orders/7/refund`, {
      method: 'POST',
      intent: { scope: 'orders:read', workflow: 'refund', step: 'look' },
    })
    expect((await failure(wrong, AjwtDeniedError)).code).toBe('scope_insufficient')
  })

  it('a run is one at the server, and a step that failed keeps the next agent from going on', async () => {
    const { server, client, api } = await real()
    const orders = await api({
      'GET /orders/:id': { scope: 'orders:read', intent: { workflow: 'refund' } },
      'POST /orders/:id/refund': { scope: 'orders:refund', intent: { workflow: 'refund', step: 'issue' } },
    })
    const [planner, worker] = [client('planner'), client('worker')]
    const read = (id = 7) =>
      planner.fetch(`${orders.origin}/orders/${id}`, { intent: { scope: 'orders:read' } })
    const run = planner.startWorkflow('refund')
    // At once, and the first of the run: the server must not take them for two runs.
    const once = { scope: 'orders:read', once: true }
    await run.step('look', () =>
      Promise.all([1, 2, 3].map((id) => planner.fetch(`${orders.origin}/orders/${id}`, { intent: once }))),
    )
    const runIds = () => orders.grants.map(({ claims }) => (claims.intent as { run_id: string }).run_id)
    expect(runIds()).toEqual([run.runId, run.runId, run.runId])

    await expect(
      run.step('review', async () => {
        await read()
        throw new Error('the order looks wrong')
      }),
    ).rejects.toThrow('the order looks wrong')
    // The planner's next request of the run tells the server so.
    await failure(
      run.step('issue', () =>
        planner.fetch(`${orders.origin}/orders/7/refund`, {
          method: 'POST',
          intent: { scope: 'orders:refund' },
        }),
      ),
      AgentTokenError,
    )
    const grant = { scope: 'orders:refund', audience: orders.origin }
    const delegation = await run.delegate(await worker.identity(), grant)
    const from = await planner.identity()
    const { runId = '' } = run
    const refund = async () => {
      const start = { from, runId, completedSteps: ['look', 'review'] }
      const work = await worker.acceptDelegation(delegation, start)
      return work.step('issue', (step) =>
        step.fetch(`${orders.origin}/orders/7/refund`, {
          method: 'POST',
          intent: { scope: 'orders:refund' },
        }),
      )
    }
    await failure(refund(), AgentTokenError)
    expect(server.refusals.at(-1)).toMatchObject({
      detail: 'step review has failed in this run',
      agentId: 'worker',
    })
    await run.step('review', () => read())
    expect((await refund()).status).toBe(200)
    expect(new Set(runIds())).toEqual(new Set([runId]))
    // Another run of the same workflow is another one, though its intents are equal.
    const again = planner.startWorkflow('refund')
    await again.step('look', () => read())
    expect(again.runId).not.toBe(runId)
  })

  it('a chain of two delegations reaches the handler, verified', async () => {
    const { client, api } = await real()
    const orders = await api({
      'GET /hello': 'authenticated',
      'POST /orders/:id/refund': {
        scope: 'orders:refund',
        delegation: { required: true, initiators: ['supervisor'] },
      },
    })
    const [supervisor, planner, worker] = [client('supervisor'), client('planner'), client('worker')]
    // The server attests the key of each delegator, which it has to have seen first.
    for (const delegator of [supervisor, planner])
      await delegator.fetch(`${orders.origin}/hello`, { intent: { scope: 'orders:read' } })
    const first = await supervisor.delegate(await planner.identity(), {
      scope: 'orders:read orders:refund',
      ttl: 120,
      audience: orders.origin,
    })
    const plan = await planner.acceptDelegation(first, { from: await supervisor.identity() })
    const second = await plan.delegate(await worker.identity(), {
      scope: 'orders:refund',
      audience: orders.origin,
    })
    const work = await worker.acceptDelegation(second, { from: await planner.identity() })
    const refund = `${orders.origin}/orders/7/refund`
    await work.fetch(refund, { method: 'POST', intent: { scope: 'orders:refund' } })
    expect(orders.grants.at(-1)).toMatchObject({
      agent: { id: 'worker', keyThumbprint: (await worker.identity()).jkt },
      intent: { initiatedBy: 'supervisor' },
      delegation: [
        { from: 'supervisor', to: 'planner' },
        { from: 'planner', to: 'worker', scopes: ['orders:refund'] },
      ],
    })
    const alone = worker.fetch(refund, { method: 'POST', intent: { scope: 'orders:refund' } })
    expect((await failure(alone, AjwtDeniedError)).code).toBe('delegation_required')
  })

  it('a service calls on for its caller, from the grant that the middleware gave it', async () => {
    const { client, api } = await real()
    const orders = await api({ 'POST /orders/:id/refund': { scope: 'orders:refund' } })
    const stock = await api({
      'POST /shelf/:id': { scope: 'stock:reserve', delegation: { required: true, initiators: ['planner'] } },
    })
    const [planner, service] = [client('planner'), client('worker')]
    await planner.fetch(`${orders.origin}/orders/7/refund`, {
      method: 'POST',
      intent: { scope: 'orders:refund' },
    })
    const [grant] = orders.grants
    if (!grant) throw new Error('the call')
    const delegation = await planner.delegate(await service.identity(), {
      scope: 'stock:reserve',
      audience: stock.origin,
    })
    const acting = await service.actAs(grant, { delegation })
    await acting.fetch(`${stock.origin}/shelf/1`, { method: 'POST', intent: { scope: 'stock:reserve' } })
    expect(stock.grants[0]).toMatchObject({
      agent: { id: 'worker' },
      intent: { initiatedBy: 'planner' },
      delegation: [{ from: 'planner', to: 'worker' }],
    })
    expect(stock.grants[0]?.token.id).not.toBe(grant.token.id)
  })

  it('a denial tells what is missing', async () => {
    const { client, api } = await real()
    const orders = await api({
      'GET /orders': { scope: 'orders:read' },
      'DELETE /orders': { scope: 'orders:read', user: { acr: ['phr'], maxAge: 300 } },
      'POST /orders': { scope: 'orders:read', once: true },
    })
    const planner = client('planner')
    const at = (method: string, scope = 'orders:read') =>
      planner.fetch(`${orders.origin}/orders`, { method, intent: { scope } })
    expect((await at('GET')).status).toBe(200)

    const scope = await failure(at('GET', 'orders:refund'), AjwtDeniedError)
    expect(scope).toMatchObject({ code: 'scope_insufficient', status: 403, error: 'insufficient_scope' })
    expect(scope.challenge).toMatchObject({ scheme: 'DPoP', scope: ['orders:read'] })
    expect(scope.challenge?.resourceMetadata).toContain('/.well-known/oauth-protected-resource')

    const user = await failure(at('DELETE'), AjwtDeniedError)
    expect(user).toMatchObject({ code: 'user_authentication_required', status: 401 })
    expect(user.challenge).toMatchObject({ acrValues: ['phr'], maxAge: 300 })

    expect((await failure(at('PATCH'), AjwtDeniedError)).code).toBe('route_not_declared')

    // A route that takes each token once: the cached one is replaced by the client itself.
    for (let i = 0; i < 3; i++) expect((await at('POST')).status).toBe(200)

    const { iss } = orders.grants[0]?.claims ?? {}
    orders.revocations.revoke(`agent:${iss} planner`, Math.floor(Date.now() / 1000) + 600)
    const revoked = await failure(at('GET'), AjwtDeniedError)
    expect(revoked).toMatchObject({ code: 'token_revoked', status: 401, error: 'invalid_token' })
  })

  it.each(['ES256', 'Ed25519'] as const)('a key derived for %s is taken by all', async (algorithm) => {
    const { client, api } = await real()
    const orders = await api({ 'GET /orders': { scope: 'orders:read' } })
    const planner = client('planner', { algorithm })
    const response = await planner.fetch(`${orders.origin}/orders`, { intent: { scope: 'orders:read' } })
    expect(await response.json()).toEqual({ by: 'planner' })
  })

  it('an agent whose registration moved on is refused by the server', async () => {
    const { server, client, api } = await real()
    const orders = await api({ 'GET /orders': { scope: 'orders:read' } })
    const definition: AgentDefinition = { ...agent('planner'), prompt: 'Version two.' }
    await server.registry.register({ definition, checksum: await agentChecksum(definition), scopes: SCOPES })
    const [first] = server.registry.registrations('planner')
    server.registry.retire(first?.registrationId ?? '')
    const work = client('planner').fetch(`${orders.origin}/orders`, { intent: { scope: 'orders:read' } })
    expect((await failure(work, AgentTokenError)).error).toBe('invalid_grant')
    expect(server.refusals.map(({ reason }) => reason)).toEqual(['checksum_mismatch'])
  })

  it.each(['client_secret_post', 'private_key_jwt'] as const)(
    'the client may authenticate by %s',
    async (method) => {
      const { server, client, api } = await real()
      const orders = await api({ 'GET /orders': { scope: 'orders:read' } })
      const { privateKey, publicKey } = await generateKeyPair('ES256')
      const jwk = await crypto.subtle.exportKey('jwk', publicKey)
      const registered = await registerDynamicClient(
        server.issuer,
        method === 'private_key_jwt'
          ? {
              token_endpoint_auth_method: method,
              token_endpoint_auth_signing_alg: 'ES256',
              jwks: { keys: [{ kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y, alg: 'ES256', use: 'sig' }] },
            }
          : { token_endpoint_auth_method: method },
      )
      server.registry.permit(registered.clientId, 'planner')
      const clientAuth: ClientAuth =
        method === 'private_key_jwt'
          ? { method, clientId: registered.clientId, key: privateKey }
          : ({ ...registered, method } as ClientAuth)
      const planner = client('planner', { clientAuth })
      const response = await planner.fetch(`${orders.origin}/orders`, { intent: { scope: 'orders:read' } })
      expect(await response.json()).toEqual({ by: 'planner' })
    },
  )

  it('a public client has no right to an agent', async () => {
    const { server, client, api } = await real()
    const orders = await api({ 'GET /orders': { scope: 'orders:read' } })
    const { clientId } = await registerClient(server.issuer, 'none')
    server.registry.permit(clientId, 'planner')
    const planner = client('planner', { clientAuth: { method: 'none', clientId } })
    const work = planner.fetch(`${orders.origin}/orders`, { intent: { scope: 'orders:read' } })
    expect((await failure(work, AgentTokenError)).error).toBe('unauthorized_client')
  })
})
