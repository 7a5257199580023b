import { randomBytes } from 'node:crypto'
import { decodeJwt } from 'jose'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import {
  type AgentClientOptions,
  AgentTokenError,
  AjwtDeniedError,
  type AuthorizationOptions,
  challengeOf,
  createAgentClient,
  type SavedAuthorization,
} from '../../../src/agent/index.js'
import { startOAuthServers } from '../../support/agent/oauth-servers.js'
import { browse, CALLBACK } from '../../support/oauth-client.js'

// The client against oidc-provider as it is published: DPoP nonces are required, and only its metadata is
// known.

const { issuer, api, other, secret, assertionKeys, userToken, tokenRequests, close } =
  await startOAuthServers()
afterAll(close)
afterEach(() => void tokenRequests.splice(0))

const basic = {
  method: 'client_secret_basic',
  clientId: 'basic',
  clientSecret: secret,
} as const
const machine = (options: Partial<AgentClientOptions> = {}) =>
  createAgentClient({ issuer, clientAuth: basic, grant: 'client_credentials', ...options })
const order = `${api}/orders/1`
const read = { intent: { scope: 'orders:read' } }
const refund = { method: 'POST', intent: { scope: 'orders:refund' } }

describe('client credentials at oidc-provider', () => {
  it('gets a token for the scope and the resource of a request, and calls with nonces', async () => {
    const client = machine()
    const response = await client.fetch(order, read)
    expect(await response.json()).toEqual({ subject: 'basic', scopes: ['orders:read'] })
    expect(await (await client.fetch(`${order}/refund`, refund)).json()).toMatchObject({
      scopes: ['orders:refund'],
    })
    await client.fetch(order, read)
    expect(tokenRequests).toEqual(['client_credentials', 'client_credentials'])
  })

  it('authenticates with client_secret_post and with private_key_jwt', async () => {
    const post = { ...basic, method: 'client_secret_post', clientId: 'post' } as const
    expect(await (await machine({ clientAuth: post }).fetch(order, read)).json()).toMatchObject({
      subject: 'post',
    })
    const { privateKey: key } = assertionKeys
    const assertion = { method: 'private_key_jwt', clientId: 'assertion', key, kid: 'k1' } as const
    const response = await machine({ clientAuth: assertion }).fetch(order, read)
    expect(await response.json()).toMatchObject({ subject: 'assertion' })
  })

  it('tells why the server gives no token, without the secret', async () => {
    const wrong = machine({ clientAuth: { ...basic, clientSecret: 'another secret' } })
    const error = await wrong.fetch(order, read).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(AgentTokenError)
    expect(error).toMatchObject({ error: 'invalid_client', status: 401 })
    expect(String(error)).not.toContain('another secret')
  })

  it('refuses to send an intent that the server would not put into the token', async () => {
    await expect(
      machine()
        .startWorkflow('refund')
        .step('look', (step) => step.fetch(order, read)),
    ).rejects.toThrow('the grant client_credentials carries no workflow: leave it out')
    expect(tokenRequests).toEqual([])
  })

  it('shows the denial of an API that ajwt protects', async () => {
    const denial = await machine()
      .fetch(`${order}/refund`, { ...read, method: 'POST' })
      .catch((error: unknown) => error)
    expect(denial).toBeInstanceOf(AjwtDeniedError)
    expect(denial).toMatchObject({ code: 'scope_insufficient', challenge: { scope: ['orders:refund'] } })
  })
})

describe('a challenge for more scope', () => {
  it('is met with a second token if stepUp has the scope, at ajwt and elsewhere', async () => {
    const client = machine({ stepUp: 'orders:refund' })
    const own = await client.fetch(`${api}/orders/1/refund`, { ...read, method: 'POST' })
    expect(await own.json()).toMatchObject({ scopes: ['orders:read', 'orders:refund'] })
    const foreign = await client.fetch(`${other}/orders/1/refund`, { ...read, method: 'POST' })
    expect(await foreign.json()).toEqual({ scope: 'orders:read orders:refund' })
    expect(tokenRequests).toHaveLength(4)
  })

  it('is returned if stepUp does not have it, and no other token is requested', async () => {
    const response = await machine({ stepUp: 'orders:list' }).fetch(`${other}/orders/1/refund`, {
      ...read,
      method: 'POST',
    })
    expect(response.status).toBe(403)
    expect(challengeOf(response)).toMatchObject({ error: 'insufficient_scope', scope: ['orders:refund'] })
    expect(tokenRequests).toHaveLength(1)
  })
})

describe('a token exchange at oidc-provider', () => {
  const exchanging = (subjectToken: NonNullable<AgentClientOptions['subjectToken']>) =>
    createAgentClient({
      issuer,
      clientAuth: { ...basic, clientId: 'exchanger' },
      grant: 'token-exchange',
      subjectToken,
    })

  it('calls for the person of the subject token, with a token of its own that is bound to its key', async () => {
    const subjectToken = await userToken('orders:read orders:refund')
    const client = exchanging(async () => subjectToken)
    const response = await client.fetch(order, read)
    expect(await response.json()).toEqual({ subject: 'alice', scopes: ['orders:read'] })
    expect(await (await client.fetch(`${order}/refund`, refund)).json()).toMatchObject({
      scopes: ['orders:refund'],
    })
    const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange'
    expect(tokenRequests).toEqual([exchange, exchange])
  })

  it('tells that the server gives no more scope than the subject token has', async () => {
    const error = await exchanging(await userToken('orders:read'))
      .fetch(`${order}/refund`, refund)
      .catch((error: unknown) => error)
    expect(error).toBeInstanceOf(AgentTokenError)
    expect(error).toMatchObject({ error: 'invalid_scope', status: 400 })
  })

  it('tells that the server refuses the subject token, without showing it', async () => {
    const forged = `${(await userToken('orders:read')).slice(0, -8)}AAAAAAAA`
    const error = await exchanging(forged)
      .fetch(order, read)
      .catch((error: unknown) => error)
    expect(error).toMatchObject({ error: 'invalid_grant', status: 400 })
    expect(String(error)).not.toContain(forged.slice(0, 40))
  })
})

describe('express-oauth2-jwt-bearer', () => {
  it('accepts the token and the proof', async () => {
    const response = await machine().fetch(`${other}/orders/1`, read)
    expect([response.status, await response.json()]).toEqual([200, { subject: 'basic' }])
  })
})

describe('an authorization code with PKCE at oidc-provider', () => {
  const asked: URL[] = []
  afterEach(() => void asked.splice(0))
  const person = (options: Partial<AuthorizationOptions> = {}): AuthorizationOptions => ({
    redirectUri: CALLBACK,
    authorize({ url }) {
      asked.push(url)
      return browse(url)
    },
    ...options,
  })
  const publicClient = { method: 'none', clientId: 'public' } as const
  const interactive = (authorization: AuthorizationOptions, options: Partial<AgentClientOptions> = {}) =>
    createAgentClient({
      issuer,
      clientAuth: publicClient,
      grant: 'authorization_code',
      authorization,
      ...options,
    })

  it('asks the person once, and binds code and token to the key', async () => {
    const client = interactive(person())
    expect(await (await client.fetch(order, read)).json()).toEqual({
      subject: 'alice',
      scopes: ['orders:read'],
    })
    expect((await client.fetch(order, read)).status).toBe(200)
    expect(asked).toHaveLength(1)
    const { jkt } = await client.identity()
    expect(Object.fromEntries(asked[0]?.searchParams ?? [])).toMatchObject({
      response_type: 'code',
      client_id: 'public',
      code_challenge_method: 'S256',
      dpop_jkt: jkt,
      scope: 'orders:read',
      resource: api,
    })
  })

  const all = {
    scope: 'openid offline_access orders:read orders:refund',
    resources: [api, other],
    parameters: { prompt: 'consent' },
  }

  it('narrows each token to its request with the refresh token, also for another resource', async () => {
    const client = interactive(person(all))
    expect(await (await client.fetch(order, read)).json()).toMatchObject({ scopes: ['orders:read'] })
    expect(await (await client.fetch(`${order}/refund`, refund)).json()).toMatchObject({
      scopes: ['orders:refund'],
    })
    const foreign = await client.fetch(`${other}/orders/1/refund`, refund)
    expect(await foreign.json()).toEqual({ scope: 'orders:refund' })
    expect(asked).toHaveLength(1)
    expect(tokenRequests).toEqual(['authorization_code', 'refresh_token', 'refresh_token', 'refresh_token'])
  })

  it('asks once and uses each refresh token once, for requests at the same time', async () => {
    const client = interactive(person(all))
    const results = await Promise.all([
      client.fetch(order, read),
      client.fetch(`${order}/refund`, refund),
      client.fetch(`${other}/orders/1`, read),
      client.fetch(`${api}/orders/2`, { intent: { scope: 'orders:read', once: true } }),
    ])
    expect(results.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect(asked).toHaveLength(1)
  })

  it('keeps the authorization in a store, and goes on with it in another process', async () => {
    const seed = randomBytes(32)
    let saved: SavedAuthorization | undefined
    const store = {
      load: () => saved,
      save(authorization: SavedAuthorization | undefined) {
        saved = authorization
      },
    }
    await interactive(person({ ...all, store }), { seed }).fetch(order, read)
    await interactive(person({ ...all, store }), { seed }).fetch(`${order}/refund`, refund)
    expect(asked).toHaveLength(1)
    expect(saved).toMatchObject({ resources: [api, other], scope: expect.arrayContaining(['orders:refund']) })
    // Another key: the refresh token is bound, so that the person is asked again.
    await interactive(person({ ...all, store })).fetch(order, read)
    expect(asked).toHaveLength(2)
  })

  it('pushes the request where the client has to', async () => {
    const clientAuth = { ...basic, clientId: 'pushing' }
    const metadata = async (url: string, init: RequestInit) => {
      const response = await fetch(url, init)
      if (!url.includes('/.well-known/')) return response
      const document = Object(await response.json())
      return Response.json({ ...document, require_pushed_authorization_requests: true })
    }
    const client = interactive(person(), { clientAuth, fetch: metadata })
    expect((await client.fetch(order, read)).status).toBe(200)
    expect([...(asked[0]?.searchParams.keys() ?? [])]).toEqual(['client_id', 'request_uri'])
  })

  it.each([
    [
      'another state',
      (url: URL) => url.searchParams.set('state', 'other'),
      'answers another request (state)',
    ],
    ['two states', (url: URL) => url.searchParams.append('state', 'other'), 'more than one state'],
    [
      'another iss',
      (url: URL) => url.searchParams.set('iss', 'https://evil.example'),
      'another authorization server',
    ],
    ['no iss', (url: URL) => url.searchParams.delete('iss'), 'another authorization server'],
    ['no code', (url: URL) => url.searchParams.delete('code'), 'has no code'],
    ['another place', (url: URL) => Reflect.set(url, 'host', 'evil.example'), 'not at the redirectUri'],
    ['an error', (url: URL) => url.searchParams.set('error', 'access_denied'), 'access_denied'],
  ])('refuses a redirect with %s', async (_, change, message) => {
    const authorize: AuthorizationOptions['authorize'] = async ({ url }) => {
      const redirect = await browse(url)
      change(redirect)
      return redirect
    }
    await expect(interactive(person({ authorize })).fetch(order, read)).rejects.toThrow(message)
    expect(tokenRequests).toEqual([])
  })

  it('sends a token of the person whose sub is in it', async () => {
    let token = ''
    const spy = async (url: string, init: RequestInit) => {
      token = new Headers(init.headers).get('authorization') ?? token
      return fetch(url, init)
    }
    await interactive(person(), { fetch: spy }).fetch(order, read)
    expect(decodeJwt(token.split(' ')[1] ?? '')).toMatchObject({
      sub: 'alice',
      client_id: 'public',
      aud: api,
    })
  })
})

describe('the metadata of an authorization server', () => {
  it('must be of the issuer that was configured', async () => {
    const client = machine({ issuer: `${issuer}/` })
    await expect(client.fetch(order, read)).rejects.toThrow(`is of the issuer ${issuer}`)
    expect(tokenRequests).toEqual([])
  })

  it('is missing where there is none', async () => {
    await expect(machine({ issuer: `${api}/none` }).fetch(order, read)).rejects.toThrow(
      'metadata cannot be found',
    )
  })
})
