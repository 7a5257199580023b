import { createHash } from 'node:crypto'
import { calculateJwkThumbprint, decodeProtectedHeader, type JWK } from 'jose'
import { describe, expect, it, vi } from 'vitest'
import { json, listen } from '../../../support/agent/http.js'
import { closeLater, failure, payload, startServers } from '../../../support/agent/setup.js'

const intent = { scope: 'orders:read' }

describe('a request', () => {
  it('has its answer where a server adapter has replaced the global Response', async () => {
    const { client, orders } = await startServers()
    const planner = client()
    // As @hono/node-server does: the responses of fetch are no instances of it.
    vi.stubGlobal('Response', class extends Response {})
    const { status } = await planner.fetch(orders, { intent })
    vi.unstubAllGlobals()
    expect(status).toBe(200)
  })

  it('carries a token for exactly its intent, and a proof of its own', async () => {
    const { issuer, api, client, orders } = await startServers()
    const planner = client('planner', { resource: 'urn:other' })
    const response = await planner.fetch(`${orders}?q=1#here`, {
      method: 'put',
      body: '{"cents":2000}',
      headers: { 'content-type': 'application/json', 'x-own': 'kept' },
      intent: {
        scope: 'orders:write  orders:read orders:read',
        resource: api.origin,
        workflow: 'refund',
        step: 'issue',
        completedSteps: ['intake', 'review'],
        hash: 'a'.repeat(43),
      },
    })
    expect(await response.json()).toEqual({ ok: true })

    expect(issuer.requests[0]?.params).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:agent_checksum',
      client_id: 'app',
      agent_id: 'planner',
      agent_checksum: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
      scope: 'orders:read orders:write',
      resource: api.origin,
      workflow_id: 'refund',
      workflow_step: 'issue',
      completed_steps: 'intake review',
      intent_hash: 'a'.repeat(43),
    })
    const [accepted] = api.accepted
    expect(accepted).toMatchObject({ method: 'PUT', url: '/orders/7?q=1', body: '{"cents":2000}' })
    expect(api.requests[0]?.headers['x-own']).toBe('kept')
    const proof = payload(accepted?.proof)
    expect(proof).toEqual({
      jti: expect.any(String),
      htm: 'PUT',
      // The query is no part of it.
      htu: orders,
      iat: expect.any(Number),
      ath: createHash('sha256')
        .update(accepted?.token ?? '')
        .digest('base64url'),
    })
    const header = decodeProtectedHeader(accepted?.proof ?? '')
    expect(header).toEqual({ typ: 'dpop+jwt', alg: 'ES256', jwk: expect.any(Object) })
    expect(Object.keys(header.jwk ?? {}).sort()).toEqual(['crv', 'kty', 'x', 'y'])
    const { jkt } = await planner.identity()
    expect(await calculateJwkThumbprint(header.jwk as JWK)).toBe(jkt)
    expect(accepted?.claims.cnf).toEqual({ jkt })
  })

  it('uses the URL of the API as its audience by default', async () => {
    const { issuer, api, client, orders } = await startServers()
    await client().fetch(orders, { intent })
    const origins = { 'urn:orders': [api.origin] }
    await client('planner', { resource: 'urn:orders', origins }).fetch(orders, { intent })
    expect(issuer.requests.map(({ params }) => params.resource)).toEqual([api.origin, 'urn:orders'])
  })

  it('has a fresh proof each time, and the same token while it lives', async () => {
    const { issuer, api, client, orders } = await startServers()
    const planner = client()
    for (let i = 0; i < 3; i++) expect((await planner.fetch(orders, { intent })).status).toBe(200)
    expect(issuer.requests).toHaveLength(1)
    expect(new Set(api.accepted.map(({ proof }) => payload(proof).jti)).size).toBe(3)
  })

  it('refuses credentials and redirects of the caller, and what is no intent', async () => {
    const { api, client, orders } = await startServers()
    const planner = client()
    const wrong: [object, RegExp][] = [
      [{ intent, headers: { Authorization: 'Bearer x' } }, /must not contain/],
      [{ intent, headers: { dpop: 'x' } }, /must not contain/],
      [{ intent, redirect: 'follow' }, /redirect/],
      [{}, /intent must be an object/],
      [undefined as never, /init\.intent must be an object .*fetch\(url, \{ intent: /],
      [null as never, /init\.intent must be an object/],
      [{ intent: {} }, /intent\.scope/],
      [{ intent: { scope: 'a"b' } }, /intent\.scope/],
      [{ intent: { scope: 'a', resource: 'b c' } }, /intent\.resource/],
      [{ intent: { scope: 'a', step: 'b' } }, /needs a workflow/],
      [{ intent: { scope: 'a', workflow: 'w', step: 'b c' } }, /intent\.step/],
      [{ intent: { scope: 'a', workflow: 'w', step: 'b', completedSteps: ['a b'] } }, /completedSteps/],
      [{ intent: { scope: 'a', workflow: 'w\n' } }, /intent\.workflow/],
      [{ intent: { scope: 'a', hash: 'short' } }, /intent\.hash/],
    ]
    for (const [init, message] of wrong) {
      const error = await failure(planner.fetch(orders, init as never), TypeError)
      expect(error.message).toMatch(message)
    }
    for (const url of [
      'http://api.example.com/',
      'ftp://127.0.0.1/',
      'https://a:b@api.example.com/',
      '/orders',
    ]) {
      await failure(planner.fetch(url, { intent }), TypeError)
    }
    expect(api.requests).toEqual([])
  })

  it('may go over plain http where that was allowed in words', async () => {
    const urls: string[] = []
    const { issuer, client } = await startServers()
    const planner = client('planner', {
      allowInsecureHttp: true,
      fetch: async (url, init) => {
        urls.push(url)
        return url.startsWith(issuer.origin) ? fetch(url, init) : new Response('ok')
      },
    })
    await planner.fetch('http://orders.svc.cluster.local/', { intent })
    expect(urls.at(-1)).toBe('http://orders.svc.cluster.local/')
  })
})

describe('tokens are kept', () => {
  it('no longer than they live', async () => {
    const { issuer, client, orders } = await startServers()
    let now = Date.now()
    const planner = client('planner', { now: () => now })
    issuer.behavior.lifetime = 6
    await planner.fetch(orders, { intent })
    now += 3_900
    await planner.fetch(orders, { intent })
    expect(issuer.requests).toHaveLength(1)
    now += 200
    await planner.fetch(orders, { intent })
    expect(issuer.requests).toHaveLength(2)
  })

  it('counting from before the request, since an answer may be slow', async () => {
    const { issuer, client, orders } = await startServers()
    let now = Date.now()
    const planner = client('planner', {
      now: () => now,
      fetch: async (url, init) => {
        const response = await fetch(url, init)
        if (url === issuer.tokenEndpoint) now += 3_000
        return response
      },
    })
    issuer.behavior.lifetime = 6
    await planner.fetch(orders, { intent })
    now += 1_500
    await planner.fetch(orders, { intent })
    expect(issuer.requests).toHaveLength(2)
  })

  it('not at all where the server does not say how long they live', async () => {
    const { issuer, client, orders } = await startServers()
    issuer.behavior.change = { expires_in: undefined }
    const planner = client()
    await planner.fetch(orders, { intent })
    await planner.fetch(orders, { intent })
    expect(issuer.requests).toHaveLength(2)
  })

  it('by exact intent, however it is written', async () => {
    const { issuer, api, client, orders } = await startServers()
    // This API does not know the second resource.
    api.behavior.answer = (_, res) => {
      json(res, 200, {})
      return true
    }
    const planner = client('planner', { origins: { 'urn:orders': [api.origin] } })
    await planner.fetch(orders, { intent: { scope: 'b a' } })
    await planner.fetch(orders, { intent: { scope: ['a', 'b'] } })
    expect(issuer.requests).toHaveLength(1)
    const base = { scope: 'a b', workflow: 'w', step: 's', completedSteps: ['x'], hash: 'h'.repeat(43) }
    const intents = [
      { ...base, scope: 'a' },
      base,
      { ...base, workflow: 'w2' },
      { ...base, step: 's2' },
      { ...base, completedSteps: ['y'] },
      { ...base, hash: 'i'.repeat(43) },
      { ...base, resource: 'urn:orders' },
    ]
    for (const other of intents) await planner.fetch(orders, { intent: other })
    for (const other of intents) await planner.fetch(orders, { intent: other })
    expect(issuer.requests).toHaveLength(1 + intents.length)
  })

  it('no more of them than asked for', async () => {
    const { issuer, client, orders } = await startServers()
    const planner = client('planner', { maxTokens: 2 })
    for (const scope of ['a', 'b', 'c', 'a']) await planner.fetch(orders, { intent: { scope } })
    expect(issuer.requests.map(({ params }) => params.scope)).toEqual(['a', 'b', 'c', 'a'])
  })

  it('and asked for once by calls that need the same', async () => {
    const { issuer, api, client, orders } = await startServers()
    issuer.behavior.delay = 30
    const planner = client()
    await Promise.all(Array.from({ length: 8 }, () => planner.fetch(orders, { intent })))
    await Promise.all([
      planner.fetch(orders, { intent: { scope: 'other' } }),
      planner.fetch(orders, { intent }),
    ])
    expect(issuer.requests).toHaveLength(2)
    expect(api.accepted).toHaveLength(10)
  })

  it('but a failed request is not: the next call asks anew', async () => {
    const { issuer, client, orders } = await startServers()
    const planner = client()
    issuer.behavior.answer = () => ({ status: 400, body: { error: 'invalid_grant' } })
    await expect(planner.fetch(orders, { intent })).rejects.toThrow('invalid_grant')
    delete issuer.behavior.answer
    expect((await planner.fetch(orders, { intent })).status).toBe(200)
  })

  it('nor is a token asked for with `once`, which serves one request', async () => {
    const { issuer, api, client, orders } = await startServers()
    const planner = client()
    await planner.fetch(orders, { intent })
    await Promise.all([1, 2].map(() => planner.fetch(orders, { intent: { ...intent, once: true } })))
    await planner.fetch(orders, { intent })
    expect(issuer.requests).toHaveLength(3)
    expect(new Set(api.accepted.map(({ token }) => token)).size).toBe(3)
  })
})

describe('a signal ends its own call', () => {
  it('and leaves the token request to the others that wait for it', async () => {
    const { issuer, client, orders } = await startServers()
    issuer.behavior.delay = 60
    const planner = client()
    const controller = new AbortController()
    const aborted = planner.fetch(orders, { intent, signal: controller.signal })
    const other = planner.fetch(orders, { intent })
    setTimeout(() => controller.abort(new Error('enough')), 10)
    await expect(aborted).rejects.toThrow('enough')
    expect((await other).status).toBe(200)
    expect(issuer.requests).toHaveLength(1)
  })

  it('before anything is sent where it had ended already', async () => {
    const { issuer, client, orders } = await startServers()
    await expect(client().fetch(orders, { intent, signal: AbortSignal.abort() })).rejects.toThrow(/abort/i)
    expect(issuer.requests).toHaveLength(0)
  })
})

describe('a redirect', () => {
  it('is given back, and carries nothing to another origin', async () => {
    const elsewhere: unknown[] = []
    const other = await listen((req, res) => {
      elsewhere.push(req.headers)
      res.end()
    })
    closeLater(other)
    const { api, client, orders } = await startServers()
    for (const status of [301, 302, 303, 307, 308]) {
      api.behavior.answer = (_, res) => {
        res.writeHead(status, { location: `${other.origin}/steal` }).end()
        return true
      }
      const response = await client().fetch(orders, { intent, method: 'POST', body: 'x' })
      expect([response.status, response.headers.get('location')]).toEqual([status, `${other.origin}/steal`])
    }
    expect(elsewhere).toEqual([])
  })

  it('of the token endpoint is a failure, and carries the client credentials nowhere', async () => {
    const elsewhere: unknown[] = []
    const other = await listen((req, res) => {
      elsewhere.push(req.headers)
      res.end()
    })
    closeLater(other)
    const { issuer, client, orders } = await startServers()
    issuer.behavior.answer = () => ({ status: 307, body: {}, headers: { location: `${other.origin}/token` } })
    await expect(client().fetch(orders, { intent })).rejects.toMatchObject({
      name: 'AgentTokenError',
      status: 307,
    })
    expect(elsewhere).toEqual([])
  })
})
