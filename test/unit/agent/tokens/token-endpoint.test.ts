import { generateKeyPair, jwtVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import { AgentTokenError, type ClientAuth } from '../../../../src/agent/index.js'
import { failure, startServers } from '../../../support/agent/setup.js'

const intent = { scope: 'orders:read' }

describe('the client authenticates', () => {
  it('with client_secret_basic, form-encoded first', async () => {
    const { issuer, client, orders } = await startServers()
    const clientAuth: ClientAuth = { method: 'client_secret_basic', clientId: 'a:b c', clientSecret: 'ü%+&' }
    await client('planner', { clientAuth }).fetch(orders, { intent })
    const [seen] = issuer.requests
    expect(seen?.headers.authorization).toBe(`Basic ${btoa('a%3Ab+c:%C3%BC%25%2B%26')}`)
    expect(Object.keys(seen?.params ?? {})).not.toContain('client_secret')
    expect(Object.keys(seen?.params ?? {})).not.toContain('client_id')
  })

  it('with client_secret_post', async () => {
    const { issuer, client, orders } = await startServers()
    const clientAuth: ClientAuth = { method: 'client_secret_post', clientId: 'app', clientSecret: 's&cret' }
    await client('planner', { clientAuth }).fetch(orders, { intent })
    expect(issuer.requests[0]?.params).toMatchObject({ client_id: 'app', client_secret: 's&cret' })
    expect(issuer.requests[0]?.headers.authorization).toBeUndefined()
  })

  it('with none', async () => {
    const { issuer, client, orders } = await startServers()
    await client().fetch(orders, { intent })
    expect(issuer.requests[0]?.params.client_id).toBe('app')
    expect(issuer.requests[0]?.headers.authorization).toBeUndefined()
  })

  it('with private_key_jwt, a fresh assertion for each request, the one after a nonce challenge too', async () => {
    const { issuer, client, orders } = await startServers()
    const { privateKey, publicKey } = await generateKeyPair('ES256')
    const clientAuth: ClientAuth = { method: 'private_key_jwt', clientId: 'app', key: privateKey, kid: 'k1' }
    issuer.behavior.nonce = 'n1'
    await client('planner', { clientAuth }).fetch(orders, { intent })
    expect(issuer.requests).toHaveLength(2)
    const ids = new Set<unknown>()
    for (const { params } of issuer.requests) {
      expect(params.client_assertion_type).toBe('urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
      const { payload, protectedHeader } = await jwtVerify(params.client_assertion ?? '', publicKey, {
        issuer: 'app',
        subject: 'app',
        audience: issuer.tokenEndpoint,
        maxTokenAge: 60,
      })
      expect(protectedHeader).toEqual({ alg: 'ES256', kid: 'k1' })
      expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(60)
      ids.add(payload.jti)
    }
    expect(ids.size).toBe(2)
  })

  it('with private_key_jwt to the audience that the server wants', async () => {
    const { issuer, client, orders } = await startServers()
    const { privateKey: key, publicKey } = await generateKeyPair('EdDSA')
    const clientAuth: ClientAuth = {
      method: 'private_key_jwt',
      clientId: 'app',
      key,
      audience: issuer.origin,
    }
    await client('planner', { clientAuth }).fetch(orders, { intent })
    const assertion = issuer.requests[0]?.params.client_assertion ?? ''
    await jwtVerify(assertion, publicKey, { audience: issuer.origin })
  })

  it('never with a key that could be read out', async () => {
    const { client } = await startServers()
    const { privateKey } = await generateKeyPair('ES256', { extractable: true })
    const clientAuth: ClientAuth = { method: 'private_key_jwt', clientId: 'app', key: privateKey }
    expect(() => client('planner', { clientAuth })).toThrow(/clientAuth\.key must not be extractable/)
  })
})

describe('a refusal of the token endpoint', () => {
  it('is an AgentTokenError with the OAuth error, and the API gets no request', async () => {
    const { issuer, api, client, orders } = await startServers()
    const body = { error: 'invalid_grant', error_description: 'the checksum is not the registered one' }
    issuer.behavior.answer = () => ({ status: 400, body })
    const error = await failure(client().fetch(orders, { intent }), AgentTokenError)
    expect(error).toMatchObject({ error: 'invalid_grant', description: body.error_description, status: 400 })
    expect(error.message).toBe(
      `no token: invalid_grant: the checksum is not the registered one (for agent planner, scope orders:read, resource ${api.origin})`,
    )
    expect(api.requests).toEqual([])
  })

  it('by a nonce that changes every time is followed once', async () => {
    const { issuer, client, orders } = await startServers()
    let nonce = 0
    issuer.behavior.answer = () => ({
      status: 400,
      body: { error: 'use_dpop_nonce' },
      headers: { 'dpop-nonce': `n${nonce++}` },
    })
    const error = await failure(client().fetch(orders, { intent }), AgentTokenError)
    expect(error.error).toBe('use_dpop_nonce')
    expect(issuer.requests).toHaveLength(2)
  })

  it('keeps the names of agent, workflow and step in the answer of the server, of any length', async () => {
    const { issuer, client, orders } = await startServers()
    const [workflow, step] = ['refund-of-an-order-that-arrived-damaged-or-late', 'x'.repeat(60)]
    issuer.behavior.answer = ({ params }) => ({
      status: 400,
      body: {
        error: 'invalid_grant',
        error_description: `step ${params.workflow_step} of ${params.workflow_id}. ${'y'.repeat(60)}`,
      },
    })
    const about = { ...intent, workflow, step, completedSteps: [] }
    const error = await failure(client().fetch(orders, { intent: about }), AgentTokenError)
    expect(error.description).toBe(`step ${step} of ${workflow}. [redacted]`)
  })

  it('repeats no secret, proof or token that the server echoes', async () => {
    const { issuer, client, orders } = await startServers()
    issuer.behavior.answer = ({ headers, params }) => ({
      status: 401,
      body: {
        error: 'invalid_client',
        error_description: `${headers.authorization} ${headers.dpop} ${params.client_secret}\r\nx ${'A'.repeat(4000)}`,
      },
    })
    const auths: ClientAuth[] = [
      { method: 'client_secret_basic', clientId: 'app', clientSecret: 'hush-hush' },
      { method: 'client_secret_post', clientId: 'app', clientSecret: 'hush-hush' },
    ]
    for (const clientAuth of auths) {
      const error = await failure(
        client('planner', { clientAuth }).fetch(orders, { intent }),
        AgentTokenError,
      )
      const text = `${error.stack} ${JSON.stringify(error)} ${error.cause}`
      const seen = issuer.requests.at(-1)
      for (const secret of ['hush-hush', btoa('app:hush-hush'), String(seen?.headers.dpop)]) {
        expect(text).not.toContain(secret)
      }
      expect(error.description).not.toMatch(/[^\x20-\x7e]/)
      expect(error.message.length).toBeLessThan(400)
    }
  })

  it.each([
    ['HTML', 502, '<html>Bad gateway</html>'],
    ['nothing', 500, ''],
    ['JSON without an error', 400, '[]'],
    ['too much', 400, `{"error":"invalid_grant","pad":"${'x'.repeat(70_000)}"}`],
  ])('in the form of %s is an invalid_response with its status', async (_, status, body) => {
    const { client, orders } = await startServers()
    const fetch = async () => new Response(body, { status })
    const error = await failure(client('planner', { fetch }).fetch(orders, { intent }), AgentTokenError)
    expect(error).toMatchObject({ error: 'invalid_response', status })
  })
})

describe('an answer that must not be used is refused', () => {
  it.each([
    ['a token that is not bound to the key', { token_type: 'Bearer' }],
    ['no token type', { token_type: undefined }],
    ['no token', { access_token: undefined }],
    ['a token that is no header value', { access_token: 'a b' }],
    ['a token that is not text', { access_token: 7 }],
    ['a token too long to send', { access_token: 'a'.repeat(16_385) }],
    ['more scope than was asked for', { scope: 'orders:read orders:refund' }],
  ])('%s', async (_, change) => {
    const { issuer, api, client, orders } = await startServers()
    issuer.behavior.change = change
    const error = await failure(client().fetch(orders, { intent }), AgentTokenError)
    expect(error).toMatchObject({ error: 'invalid_response', status: 200 })
    expect(api.requests).toEqual([])
  })

  it('but less scope, and another spelling of the token type, are usable', async () => {
    const { issuer, client, orders } = await startServers()
    issuer.behavior.change = { scope: '', token_type: 'dpop' }
    expect((await client().fetch(orders, { intent })).status).toBe(200)
  })
})

describe('a token endpoint that does not answer', () => {
  it('is unreachable', async () => {
    const { issuer, client, orders } = await startServers()
    await issuer.close()
    const error = await failure(client().fetch(orders, { intent }), AgentTokenError)
    expect(error).toMatchObject({ error: 'unreachable', status: undefined, description: 'ECONNREFUSED' })
  })

  it('is aborted after the timeout', async () => {
    const { issuer, client, orders } = await startServers()
    issuer.behavior.delay = 3000
    const error = await failure(
      client('planner', { timeout: 0.05 }).fetch(orders, { intent }),
      AgentTokenError,
    )
    expect(error).toMatchObject({ error: 'unreachable', description: 'TimeoutError' })
  })

  it('hands on nothing of the error of a fetch that holds the request', async () => {
    const { client, orders } = await startServers()
    const fetch = async (_: string, init: RequestInit) => {
      throw Object.assign(new Error(`failed: ${new Headers(init.headers).get('dpop')}`), { request: init })
    }
    const error = await failure(client('planner', { fetch }).fetch(orders, { intent }), AgentTokenError)
    expect(`${error.stack} ${JSON.stringify(error)}`).not.toContain('eyJ')
    expect(error.cause).toBeUndefined()
  })
})
