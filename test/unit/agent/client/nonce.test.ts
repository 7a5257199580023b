import { describe, expect, it } from 'vitest'
import { AjwtDeniedError } from '../../../../src/agent/index.js'
import { failure, payload, startServers } from '../../../support/agent/setup.js'

const intent = { scope: 'orders:read' }

describe('a nonce challenge is followed once', () => {
  it('of the API and of the authorization server, each with its own nonce', async () => {
    const { issuer, api, client, orders } = await startServers()
    issuer.behavior.nonce = 'as-1'
    api.behavior.nonce = 'rs-1'
    const planner = client('planner', { clientAuth: { method: 'none', clientId: 'app' } })
    const response = await planner.fetch(orders, { intent, method: 'POST', body: 'kept' })
    expect(response.status).toBe(200)
    expect(issuer.requests.map(({ proof }) => proof.claims.nonce)).toEqual([undefined, 'as-1'])
    expect(api.requests).toHaveLength(2)
    expect(api.accepted[0]?.body).toBe('kept')
    expect(payload(api.accepted[0]?.proof).nonce).toBe('rs-1')

    // The nonce is used from then on, also a rotated one.
    await planner.fetch(orders, { intent })
    expect(api.requests).toHaveLength(3)
    api.behavior.nonce = 'rs-2'
    await planner.fetch(orders, { intent: { scope: 'other' } })
    expect(api.requests).toHaveLength(5)
    expect(issuer.requests.at(-1)?.proof.claims.nonce).toBe('as-1')
  })

  it('by each of several requests that meet it at once, at the API and at the token endpoint', async () => {
    const { issuer, api, client, orders } = await startServers()
    const planner = client()
    await planner.fetch(orders, { intent })
    api.behavior.nonce = 'rs-1'
    const five = await Promise.all(Array.from({ length: 5 }, () => planner.fetch(orders, { intent })))
    expect(five.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    expect(api.requests).toHaveLength(1 + 10)

    issuer.behavior.nonce = 'as-1'
    issuer.behavior.delay = 20
    const scopes = ['a', 'b', 'c'].map((scope) => planner.fetch(orders, { intent: { scope } }))
    expect((await Promise.all(scopes)).map(({ status }) => status)).toEqual([200, 200, 200])
    expect(issuer.requests).toHaveLength(1 + 6)

    // A rotated nonce: each request was sent with the old one.
    issuer.behavior.nonce = 'as-2'
    const more = ['d', 'e', 'f'].map((scope) => planner.fetch(orders, { intent: { scope } }))
    expect((await Promise.all(more)).map(({ status }) => status)).toEqual([200, 200, 200])
    expect(issuer.requests).toHaveLength(1 + 12)
  })

  it('and a nonce that comes with a success is used next', async () => {
    const { api, client, orders } = await startServers()
    const planner = client()
    api.behavior.answer = (_, res) => {
      res.setHeader('dpop-nonce', 'next')
      return false
    }
    await planner.fetch(orders, { intent })
    await planner.fetch(orders, { intent })
    expect(api.accepted.map(({ proof }) => payload(proof).nonce)).toEqual([undefined, 'next'])
  })

  it('however often the API asks', async () => {
    const { api, client, orders } = await startServers()
    let nonce = 0
    api.behavior.answer = (_, res) => {
      res.writeHead(401, {
        'content-type': 'application/json',
        'cache-control': 'no-store',
        'www-authenticate': 'DPoP error="use_dpop_nonce"',
        'dpop-nonce': `n${nonce++}`,
      })
      res.end('{"error":"use_dpop_nonce","error_description":"Again.","code":"proof_nonce_required"}')
      return true
    }
    const error = await failure(client().fetch(orders, { intent }), AjwtDeniedError)
    expect([error.code, error.error]).toEqual(['proof_nonce_required', 'use_dpop_nonce'])
    expect(api.requests).toHaveLength(2)
  })

  it('not where the nonce is no nonce, or not a new one', async () => {
    const { api, client, orders } = await startServers()
    const planner = client()
    for (const nonce of ['x'.repeat(513), 'with "quotes"', '', 'same']) {
      api.behavior.answer = (_, res) => {
        res.writeHead(401, { 'www-authenticate': 'DPoP error="use_dpop_nonce"', 'dpop-nonce': nonce }).end()
        return true
      }
      api.requests.length = 0
      expect((await planner.fetch(orders, { intent })).status).toBe(401)
      expect(api.requests).toHaveLength(nonce === 'same' ? 2 : 1)
    }
    api.requests.length = 0
    expect((await planner.fetch(orders, { intent })).status).toBe(401)
    expect(api.requests).toHaveLength(1)
  })

  it('not with a body that is a stream and cannot be sent twice', async () => {
    const { api, client, orders } = await startServers()
    api.behavior.nonce = 'n'
    const bodies = [
      () => new Blob(['x']).stream(),
      async function* () {
        yield new TextEncoder().encode('x')
      },
    ]
    for (const body of bodies) {
      api.requests.length = 0
      const init = { intent, method: 'POST', body: body() as ReadableStream, duplex: 'half' as const }
      const planner = client()
      expect((await planner.fetch(orders, init)).status).toBe(401)
      expect(api.requests).toHaveLength(1)
      // Repeated by the caller, with the nonce that was learned.
      expect((await planner.fetch(orders, { ...init, body: body() as ReadableStream })).status).toBe(200)
    }
  })
})
