const { once } = require('node:events')
const express = require('express')
const { createVerifier, PolicyError } = require('ajwt')
const { agentChecksum, AjwtDeniedError, createAgentClient, defineAgent } = require('ajwt/agent')
const { ajwt, requireIntent } = require('ajwt/express')
const { memoryRegistry, RegistrationError } = require('ajwt/oidc-provider')
const { createTestIssuer } = require('ajwt/testing')

let server
let issuer
let policy

beforeAll(async () => {
  const app = express()
  server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  issuer = createTestIssuer({ audience: `http://127.0.0.1:${server.address().port}` })
  policy = {
    issuer: issuer.policyIssuer,
    audience: issuer.audience,
    routes: { 'GET /orders/:id': { scope: 'orders:read' }, 'DELETE /orders/:id': { scope: 'orders:write' } },
  }
  app.use(ajwt(policy))
  app.get('/orders/:id', (req, res) => res.json({ readBy: req.ajwt.agent.id }))
  app.delete('/orders/:id', requireIntent({ agents: ['janitor'] }), (_req, res) => res.json({ gone: true }))
})
afterAll(() => {
  server.close()
  server.closeAllConnections()
})

test('an agent reads an order', async () => {
  const headers = issuer.headers({ url: '/orders/17', agent: 'planner', scope: 'orders:read' })
  const response = await fetch(`${issuer.audience}/orders/17`, { headers })
  expect(await response.json()).toEqual({ readBy: 'planner' })
})

test('every attack on that route is refused', async () => {
  const rows = await issuer.attacks(issuer.audience, { url: '/orders/17', scope: 'orders:read' })
  expect(rows.filter(({ ok }) => !ok)).toEqual([])
  expect(rows.length).toBeGreaterThan(20)
})

test.each([
  ['janitor', 200],
  ['planner', 403],
])('a deletion by %s is answered with %d', async (agent, status) => {
  const call = { method: 'DELETE', url: '/orders/17', agent, scope: 'orders:write' }
  const response = await fetch(`${issuer.audience}/orders/17`, {
    method: 'DELETE',
    headers: issuer.headers(call),
  })
  expect(response.status).toBe(status)
})

test('a wrong policy is a PolicyError', () => {
  expect(() => createVerifier({ ...policy, audience: 17 })).toThrow(PolicyError)
})

test('an agent client asks for a token, proves its key and reads an order', async () => {
  const agent = defineAgent({ id: 'planner', prompt: 'Plan.', tools: [] })
  const client = createAgentClient({
    agent,
    tokenEndpoint: 'https://issuer.test/token',
    clientAuth: { method: 'client_secret_basic', clientId: 'app', clientSecret: 'secret' },
    seed: new Uint8Array(32).fill(7),
    async fetch(url, init) {
      if (String(url) !== 'https://issuer.test/token') return fetch(url, init)
      const { jkt } = await client.identity()
      const scope = new URLSearchParams(String(init.body)).get('scope')
      const token = issuer.token({ sub: 'planner', scope, cnf: { jkt } })
      return Response.json({ access_token: token, token_type: 'DPoP', expires_in: 60, scope })
    },
  })
  const read = await client.fetch(`${issuer.audience}/orders/17`, { intent: { scope: 'orders:read' } })
  expect(await read.json()).toEqual({ readBy: 'planner' })
  const write = client.fetch(`${issuer.audience}/orders/17`, {
    method: 'DELETE',
    intent: { scope: 'orders:write' },
  })
  await expect(write).rejects.toThrow(AjwtDeniedError)
})

test('a registry takes an agent by its checksum', async () => {
  const definition = { id: 'planner', prompt: 'Plan.', tools: [] }
  const registry = memoryRegistry()
  const checksum = await agentChecksum(definition)
  await registry.register({ definition, checksum, scopes: ['orders:read'] })
  expect(registry.registrations('planner')[0].checksum).toBe(checksum)
  const other = { ...definition, prompt: 'Plan well.' }
  await expect(registry.register({ definition: other, checksum, scopes: [] })).rejects.toThrow(
    RegistrationError,
  )
})
