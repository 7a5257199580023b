import { decodeJwt } from 'jose'
import { describe, expect, it } from 'vitest'
import { AjwtDeniedError } from '../../../src/agent/index.js'
import { deny } from '../../support/agent/api.js'
import { json } from '../../support/agent/http.js'
import { agent, startServers } from '../../support/agent/setup.js'

const read = { scope: 'orders:read' }
const refund = { scope: 'orders:refund' }

const call = (name: string, id: unknown = 1) =>
  JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: {} } })
const list = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' })

async function connect(more: { denials?: 'result' | 'throw' } = {}, options = {}) {
  const servers = await startServers()
  const url = `${servers.api.origin}/mcp`
  const client = servers.client('planner', options)
  const fetch = client.mcpFetch(servers.api.origin, { default: read, tools: { refund }, ...more })
  const scopes = () => servers.issuer.requests.map(({ params }) => params.scope)
  return { ...servers, url, client, fetch, scopes }
}

describe('mcpFetch', () => {
  it.each<[string, RequestInit, string]>([
    ['a call of a tool with an intent', { method: 'POST', body: call('refund') }, 'orders:refund'],
    ['bytes', { method: 'POST', body: new TextEncoder().encode(call('refund')) }, 'orders:refund'],
    ['a call of another tool', { method: 'POST', body: call('read') }, 'orders:read'],
    [
      'a tool with the name of a member of every object',
      { method: 'POST', body: call('constructor') },
      'orders:read',
    ],
    ['another method', { method: 'POST', body: list }, 'orders:read'],
    [
      'another method that names the tool',
      { method: 'POST', body: call('refund').replace('call', 'list') },
      'orders:read',
    ],
    ['a stream', { method: 'GET', headers: { accept: 'text/event-stream' } }, 'orders:read'],
    ['the end of a session', { method: 'DELETE' }, 'orders:read'],
    ['a redirect to follow, which is returned', { method: 'GET', redirect: 'follow' }, 'orders:read'],
  ])('requests the token for the intent of %s', async (_, init, scope) => {
    const { fetch, url, scopes, api } = await connect()
    expect((await fetch(url, init)).status).toBe(200)
    expect(scopes()).toEqual([scope])
    expect(api.accepted[0]?.method).toBe(init.method)
  })

  it('reads the message of a Request, and sends it on', async () => {
    const { fetch, url, scopes, api } = await connect()
    await fetch(new Request(url, { method: 'POST', body: call('refund'), headers: { 'mcp-name': 'refund' } }))
    expect(scopes()).toEqual(['orders:refund'])
    expect(api.accepted[0]?.body).toBe(call('refund'))
    expect(api.requests[0]?.headers['mcp-name']).toBe('refund')
  })

  it.each<[string, string | undefined, RequestInit, string]>([
    ['a batch', undefined, { method: 'POST', body: `[${call('refund')}]` }, 'a request of its own'],
    ['a body that is no JSON', undefined, { method: 'POST', body: 'tools/call' }, 'no JSON-RPC message'],
    ['a stream as the body', undefined, { method: 'POST', body: new Blob([list]).stream() }, 'text or bytes'],
    [
      'another server',
      'https://mcp.attacker.example/mcp',
      { method: 'POST', body: list },
      'must not be sent to',
    ],
  ])('sends nothing for %s', async (_, url, init, message) => {
    const servers = await connect()
    await expect(servers.fetch(url ?? servers.url, init)).rejects.toThrow(message)
    expect([servers.api.requests, servers.scopes()]).toEqual([[], []])
  })

  it('turns the denial of a tool call into a result that a model can read', async () => {
    const { fetch, url, api } = await connect()
    api.behavior.answer = (_, res) => deny(res, 403, 'scope_insufficient')
    const response = await fetch(url, { method: 'POST', body: call('refund', 'seven') })
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json'])
    expect(await response.json()).toEqual({
      jsonrpc: '2.0',
      id: 'seven',
      result: {
        resultType: 'complete',
        isError: true,
        content: [{ type: 'text', text: expect.stringContaining('403 scope_insufficient: Denied') }],
        _meta: { 'ajwt/code': 'scope_insufficient' },
      },
    })
  })

  it('does so where the authorization server gives no token', async () => {
    const { fetch, url, issuer } = await connect()
    issuer.behavior.answer = () => ({ status: 400, body: { error: 'invalid_scope' } })
    const response = await fetch(url, { method: 'POST', body: call('refund') })
    expect(await response.json()).toMatchObject({
      result: { isError: true, content: [{ text: expect.stringContaining('no token: invalid_scope') }] },
    })
  })

  it.each([
    ['of any other message', {}, list],
    [
      'of a call without an id',
      {},
      JSON.stringify({ jsonrpc: '2.0', method: 'tools/call', params: { name: 'read' } }),
    ],
    ['of a tool call where the application wants it', { denials: 'throw' } as const, call('read')],
  ])('throws the denial %s', async (_, more, body) => {
    const { fetch, url, api } = await connect(more)
    api.behavior.answer = (_, res) => deny(res, 403, 'scope_insufficient')
    await expect(fetch(url, { method: 'POST', body })).rejects.toBeInstanceOf(AjwtDeniedError)
  })

  it('throws for an agent that has changed, and sends nothing', async () => {
    const changing = agent('planner')
    const { fetch, url, api } = await connect({}, { agent: changing })
    changing.config.model = 'm-2'
    await expect(fetch(url, { method: 'POST', body: call('refund') })).rejects.toThrow('has changed')
    expect(api.requests).toEqual([])
  })

  it.each<[string, object, string]>([
    ['no default', { tools: { refund } }, 'default must be an intent'],
    [
      'a tool without an intent',
      { default: read, tools: { refund: 'orders:refund' } },
      'tools["refund"] must be an intent',
    ],
    [
      'another resource',
      { default: { ...read, resource: 'https://other.example' } },
      'contradicts the first argument',
    ],
  ])('refuses %s', async (_, intents, message) => {
    const { client, api } = await connect()
    expect(() => Reflect.apply(client.mcpFetch, client, [api.origin, intents])).toThrow(message)
  })
})

describe('oauthProvider', () => {
  it('has the client request the tokens, and signs proofs for its resource alone', async () => {
    const { client, api, scopes, url } = await connect()
    const provider = client.oauthProvider({ resource: api.origin, scope: 'orders:read' })
    const { access_token, token_type } = await provider.tokens()
    expect(token_type).toBe('DPoP')
    await provider.tokens()
    expect(scopes()).toEqual(['orders:read'])
    const signer = await provider.dpop()
    const { jkt } = await client.identity()
    expect(signer.thumbprint).toBe(jkt)
    expect(Object.keys(signer.publicJwk).sort()).toEqual(['crv', 'kty', 'x', 'y'])

    signer.rememberNonce(url, 'n1')
    const dpop = await signer.buildProof({ htm: 'POST', htu: `${url}?a#b`, accessToken: access_token })
    expect(decodeJwt(dpop)).toMatchObject({ htm: 'POST', htu: url, nonce: 'n1' })
    const headers = { authorization: `DPoP ${access_token}`, dpop }
    expect((await fetch(url, { method: 'POST', headers })).status).toBe(200)

    signer.observeNonce(new Response(null, { headers: { 'dpop-nonce': 'n2' } }), url)
    expect(signer.nonceFor(url)).toBe('n2')
    const elsewhere = { htm: 'POST', htu: 'https://mcp.attacker.example/mcp', accessToken: access_token }
    await expect(signer.buildProof(elsewhere)).rejects.toThrow('must not be sent to')
    await expect(signer.buildProof({ htm: 'POST', htu: url })).rejects.toThrow('requests its tokens itself')
  })

  it('gives no secret to a token endpoint that a server names, and gets a new token next', async () => {
    const { client, api, scopes } = await connect()
    const provider = client.oauthProvider({ resource: api.origin, scope: 'orders:read' })
    const { access_token } = await provider.tokens()
    expect(() => provider.prepareTokenRequest('orders:all')).toThrow('requires the scope orders:all')
    expect((await provider.tokens()).access_token).not.toBe(access_token)
    expect(scopes()).toEqual(['orders:read', 'orders:read'])
    for (const action of [
      'saveTokens',
      'redirectToAuthorization',
      'saveCodeVerifier',
      'codeVerifier',
    ] as const)
      expect(provider[action]).toThrow('requests its tokens itself')
  })

  it('checks the agent before each token', async () => {
    const changing = agent('planner')
    const { client, api } = await connect({}, { agent: changing })
    const provider = client.oauthProvider({ resource: api.origin, scope: 'orders:read' })
    changing.config.model = 'm-2'
    await expect(provider.tokens()).rejects.toThrow('has changed')
  })

  it('needs a resource', async () => {
    const { client } = await connect()
    expect(() => client.oauthProvider()).toThrow('oauthProvider needs a resource')
  })
})

it('an answer that is no denial is passed on as it is', async () => {
  const { fetch, url, api } = await connect()
  api.behavior.answer = (_, res) => {
    json(res, 404, { error: 'no session' })
    return true
  }
  expect((await fetch(url, { method: 'POST', body: call('refund') })).status).toBe(404)
})
