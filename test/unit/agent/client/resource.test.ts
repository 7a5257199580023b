import { describe, expect, it } from 'vitest'
import { AjwtDeniedError } from '../../../../src/agent/index.js'
import { createVerifier } from '../../../../src/index.js'
import { deny } from '../../../support/agent/api.js'
import { json, listen } from '../../../support/agent/http.js'
import { closeLater, failure, startServers } from '../../../support/agent/setup.js'

const intent = { scope: 'orders:read' }

describe('a token for a resource', () => {
  it('goes to the origin of the resource and to no other', async () => {
    const { issuer, api, client, orders } = await startServers()
    const planner = client('planner', { resource: `${api.origin}/orders` })
    issuer.behavior.claims = { aud: api.origin }
    expect((await planner.fetch(orders, { intent })).status).toBe(200)

    const elsewhere: string[] = []
    const other = await listen((req, res) => {
      elsewhere.push(req.url ?? '')
      res.end()
    })
    closeLater(other)
    const sent = issuer.requests.length
    const run = planner.startWorkflow('refund')
    const calls = [
      () => planner.fetch(`${other.origin}/orders/7`, { intent }),
      () => planner.fetch(orders.replace('127.0.0.1', 'localhost'), { intent }),
      () => run.step('look', (step) => step.fetch(other.origin, { intent })),
      () => client().fetch(other.origin, { intent: { ...intent, resource: api.origin } }),
      () => client().fetch(other.origin, { intent: { ...intent, resource: 'urn:orders' } }),
    ]
    for (const call of calls) {
      const { message } = await failure(call(), TypeError)
      expect(message).toMatch(/^a token for the resource .* must not be sent to http:\/\/.*option origins/)
    }
    expect([elsewhere, issuer.requests.length]).toEqual([[], sent])
  })

  it('goes to the origins that were named for it, which are then all', async () => {
    const { issuer, api, client, orders } = await startServers()
    const origins = {
      'https://orders.example.com': [api.origin],
      [api.origin]: ['https://orders.example.com'],
    }
    const planner = client('planner', { resource: 'https://orders.example.com', origins })
    issuer.behavior.claims = { aud: api.origin }
    expect((await planner.fetch(orders, { intent })).status).toBe(200)
    expect(issuer.requests[0]?.params.resource).toBe('https://orders.example.com')
    await failure(planner.fetch('https://orders.example.com/', { intent }), TypeError)
    await failure(planner.fetch(orders, { intent: { ...intent, resource: api.origin } }), TypeError)
  })

  it.each<[string, object, RegExp]>([
    ['a URL with a path', { 'urn:a': ['https://a.test/x'] }, /origins\["urn:a"\]\[0\] must be an origin/],
    ['plain http', { 'urn:a': ['http://a.test'] }, /origins\["urn:a"\]\[0\] must be an https URL/],
    ['no URL', { 'urn:a': ['a.test'] }, /origins\["urn:a"\]\[0\] must be an absolute URL/],
    ['no array', { 'urn:a': 'https://a.test' }, /origins\["urn:a"\] must be an array/],
    ['a blank in the resource', { 'a b': [] }, /origins\["a b"\]/],
  ])('does not take %s for an origin', async (_, origins, message) => {
    const { client } = await startServers()
    expect(() => client('planner', { origins: origins as never })).toThrow(message)
  })
})

describe('a token for another audience', () => {
  it('is refused in words that name the right one, as the metadata of the API does', async () => {
    const { issuer, client } = await startServers()
    const seen: string[] = []
    const api = await listen(async (req, res) => {
      const url = `http://${req.headers.host}`
      seen.push(
        `${req.url} ${Object.keys(req.headers).filter((name) => /^(authorization|dpop|cookie)$/.test(name))}`,
      )
      const verifier = createVerifier({
        issuer: { url: issuer.origin, jwksUri: `${issuer.origin}/jwks` },
        audience: `${url}/orders-api`,
        publicUrl: url,
        routes: { 'GET /orders/:id': { scope: 'orders:read' } },
      })
      if (req.url?.startsWith('/.well-known/')) return json(res, 200, verifier.metadata())
      const decision = await verifier.verify({
        method: req.method ?? '',
        url: req.url ?? '',
        headers: req.headers,
      })
      if (decision.outcome === 'deny') json(res, decision.status, decision.body, decision.headers)
      else json(res, 200, {})
    })
    closeLater(api)
    const error = await failure(client().fetch(`${api.origin}/orders/7`, { intent }), AjwtDeniedError)
    expect([error.code, error.resource]).toEqual(['audience_mismatch', `${api.origin}/orders-api`])
    expect(error.message).toContain(`resource ${api.origin})`)
    expect(error.message).toContain(`it is the resource ${api.origin}/orders-api: set intent.resource`)
    // The metadata is public: no credential goes with the question.
    expect(seen).toEqual([
      '/orders/7 authorization,dpop',
      '/.well-known/oauth-protected-resource/orders-api ',
    ])
    const named = { ...intent, resource: `${api.origin}/orders-api` }
    expect((await client().fetch(`${api.origin}/orders/7`, { intent: named })).status).toBe(200)
  })

  it('is the fault of the authorization server where the right one was asked for', async () => {
    const { api, client, orders } = await startServers()
    const metadata = `${api.origin}/.well-known/oauth-protected-resource`
    api.behavior.answer = (req, res) => {
      if (!req.url?.startsWith('/.well-known/')) {
        const challenge = `DPoP error="invalid_token", resource_metadata="${metadata}"`
        return deny(res, 401, 'audience_mismatch', { 'www-authenticate': challenge })
      }
      json(res, 200, { resource: api.origin })
      return true
    }
    const error = await failure(client().fetch(orders, { intent }), AjwtDeniedError)
    expect(error.resource).toBe(api.origin)
    expect(error.message).toMatch(/it is that resource: check which audience the authorization server/)
  })

  it('is returned unchanged if the metadata is elsewhere, missing or empty', async () => {
    const { api, client, orders } = await startServers()
    const elsewhere: string[] = []
    const other = await listen((req, res) => {
      elsewhere.push(req.url ?? '')
      json(res, 200, { resource: 'https://bank.example.com' })
    })
    closeLater(other)
    const path = `${api.origin}/.well-known/oauth-protected-resource`
    const documents: [string, number, unknown][] = [
      [`${other.origin}/.well-known/oauth-protected-resource`, 200, {}],
      ['not a url', 200, {}],
      [path, 404, { resource: 'https://a.test' }],
      [path, 302, { resource: 'https://a.test' }],
      [path, 200, { resource: 'a b' }],
      [path, 200, { resource: ['https://a.test'] }],
      [path, 200, { resource: 'https://a.test', pad: 'x'.repeat(70_000) }],
    ]
    for (const [url, status, document] of documents) {
      api.behavior.answer = (req, res) => {
        if (!req.url?.startsWith('/.well-known/')) {
          const challenge = `DPoP error="invalid_token", resource_metadata="${url}"`
          return deny(res, 401, 'audience_mismatch', { 'www-authenticate': challenge })
        }
        json(res, status, document, status === 302 ? { location: other.origin } : {})
        return true
      }
      const error = await failure(client().fetch(orders, { intent }), AjwtDeniedError)
      expect([error.code, error.resource]).toEqual(['audience_mismatch', undefined])
    }
    expect(elsewhere).toEqual([])
  })
})
