import { afterAll, describe, expect, it } from 'vitest'
import { enrolShim } from '../../../fixtures/demo/shim-agent.js'
import { startWorld } from '../../../fixtures/demo/world.js'
import { frameworks } from '../../../fixtures/frameworks.js'
import { AjwtDeniedError, createAgentClient, defineAgent } from '../../../src/agent/index.js'
import { createTestIssuer } from '../../../src/testing/index.js'

// The code that the documentation shows, run as it stands there but for the names of the servers.

describe('what an API owner hands to a caller', () => {
  it('gets a token, calls the API, meets a denial and understands it', async () => {
    const world = await startWorld()
    afterAll(world.close)
    const orders = world.orders.origin
    const tokenEndpoint = `${world.as.issuer}/token`
    const { definition, clientAuth } = await enrolShim(world.as, 'reader')
    const { prompt, tools, config = {} } = definition

    const agent = defineAgent({ id: 'reader', prompt, tools, config })
    const client = createAgentClient({ agent, tokenEndpoint, clientAuth })

    const response = await client.fetch(`${orders}/orders/17`, { intent: { scope: 'orders:read' } })
    const order = await response.json()

    const told: unknown[] = []
    try {
      await client.fetch(`${orders}/orders/17`, { method: 'DELETE', intent: { scope: 'orders:delete' } })
    } catch (error) {
      if (!(error instanceof AjwtDeniedError)) throw error
      told.push(error.code, error.description, error.challenge?.acrValues)
    }

    expect(order).toEqual({ order: '17', readBy: 'reader' })
    expect(told).toEqual([
      'user_authentication_required',
      'The user behind this request must authenticate again or with a stronger method.',
      ['phr'],
    ])
  })
})

describe('what an API owner writes into a test', () => {
  const issuer = createTestIssuer({ audience: 'https://orders.example.com' })
  const policy = {
    issuer: issuer.policyIssuer,
    audience: 'https://orders.example.com',
    routes: { 'GET /orders/:id': { scope: 'orders:read' } },
  }

  it('calls a protected route in one line, and attacks it in another', async () => {
    const routes = [{ method: 'get', path: '/orders/:id' }] as const
    const { origin, close } = await (frameworks['Express 5'] as (typeof frameworks)[string])({
      gates: [policy],
      routes,
    })
    afterAll(close)

    const response = await fetch(`${origin}/orders/17`, {
      headers: issuer.headers({ url: '/orders/17', scope: 'orders:read' }),
    })
    const rows = await issuer.attacks(origin, { url: '/orders/17', scope: 'orders:read' })

    expect(response.status).toBe(200)
    expect(rows.filter((row) => !row.ok)).toEqual([])
  })
})
