import { generateKeyPair, jwtVerify } from 'jose'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  type AgentClientOptions,
  type AuthorizationOptions,
  createAgentClient,
} from '../../../../src/agent/index.js'
import { json, listen } from '../../../support/agent/http.js'
import { startServers } from '../../../support/agent/setup.js'

const intent = { scope: 'orders:read' }
const OAUTH = '/.well-known/oauth-authorization-server'
const OPENID = '/.well-known/openid-configuration'

type Document = Record<string, unknown> | string | number

/** An issuer with these documents, in front of a token endpoint. `at` is the path of its identifier. */
async function discover(documents: (issuer: string) => Record<string, Document>, at = '') {
  const servers = await startServers()
  servers.issuer.behavior.claims = { sub: 'app' }
  const asked: string[] = []
  const server = await listen((req, res) => {
    asked.push(req.url ?? '')
    const document = documents(`http://${req.headers.host}${at}`)[req.url ?? '']
    if (typeof document === 'object')
      return json(res, 200, { token_endpoint: servers.issuer.tokenEndpoint, ...document })
    if (typeof document === 'number') return void res.writeHead(document, { location: '/elsewhere' }).end()
    res.writeHead(document === undefined ? 404 : 200).end(document)
  })
  onTestFinished(server.close)
  const issuer = `${server.origin}${at}`
  const client = (options: Partial<AgentClientOptions> = {}) =>
    createAgentClient({
      issuer,
      clientAuth: { method: 'none', clientId: 'app' },
      grant: 'client_credentials',
      ...options,
    })
  return { ...servers, client, asked, issuerUrl: issuer, close: server.close }
}

describe('the authorization server is found', () => {
  it.each<[string, string, string[]]>([
    ['by RFC 8414', OAUTH, [OAUTH]],
    ['by OpenID Connect Discovery', OPENID, [OAUTH, OPENID]],
  ])('%s', async (_, place, expected) => {
    const { client, orders, asked } = await discover((issuer) => ({ [place]: { issuer } }))
    expect((await client().fetch(orders, { intent })).status).toBe(200)
    expect(asked).toEqual(expected)
  })

  it.each([
    [`${OAUTH}/tenant`, [`${OAUTH}/tenant`]],
    [`/tenant${OPENID}`, [`${OAUTH}/tenant`, `/tenant${OPENID}`]],
  ])('with a path in its identifier, at %s', async (place, expected) => {
    const { client, orders, asked } = await discover((issuer) => ({ [place]: { issuer } }), '/tenant')
    expect((await client().fetch(orders, { intent })).status).toBe(200)
    expect(asked).toEqual(expected)
  })

  it.each<[string, Document]>([
    ['a page', '<html>'],
    ['a redirect', 302],
    ['an error', 500],
    ['the metadata of another issuer', { issuer: 'https://other.example' }],
  ])('by the second document where the first place has %s', async (_, first) => {
    const { client, orders } = await discover((issuer) => ({ [OAUTH]: first, [OPENID]: { issuer } }))
    expect((await client().fetch(orders, { intent })).status).toBe(200)
  })

  it('but not where a redirect leads', async () => {
    const { client, orders, asked } = await discover((issuer) => ({ [OAUTH]: 302, '/elsewhere': { issuer } }))
    await expect(client().fetch(orders, { intent })).rejects.toThrow('metadata cannot be found')
    expect(asked).toEqual([OAUTH, OPENID])
  })

  it('once an hour, by requests at the same time too', async () => {
    let now = Date.now()
    const { client, orders, asked } = await discover((issuer) => ({ [OAUTH]: { issuer } }))
    const app = client({ now: () => now })
    await Promise.all([app.fetch(orders, { intent }), app.fetch(orders, { intent: { scope: 'b' } })])
    now += 3_599_000
    await app.fetch(orders, { intent: { scope: 'c' } }).catch(() => {})
    expect(asked).toHaveLength(1)
    now += 2000
    await app.fetch(orders, { intent: { scope: 'd' } }).catch(() => {})
    expect(asked).toHaveLength(2)
  })

  it('again after a failure', async () => {
    let isUp = false
    const { client, orders } = await discover((issuer) => (isUp ? { [OAUTH]: { issuer } } : {}))
    const app = client()
    await expect(app.fetch(orders, { intent })).rejects.toThrow('metadata cannot be found')
    isUp = true
    expect((await app.fetch(orders, { intent })).status).toBe(200)
  })
})

describe('nothing is sent to a token endpoint', () => {
  it.each<[string, Record<string, unknown>, string]>([
    ['of another issuer', { issuer: 'https://other.example' }, 'is of the issuer https://other.example'],
    ['of the issuer with a slash', { issuer: 'SLASH' }, 'is of the issuer'],
    ['of no issuer', {}, 'is of the issuer (none)'],
    [
      'without TLS',
      { issuer: 'OWN', token_endpoint: 'http://as.example.com/token' },
      'token_endpoint must be an https URL',
    ],
    ['that is no URL', { issuer: 'OWN', token_endpoint: 7 }, 'token_endpoint must be an absolute URL'],
    ['that is missing', { issuer: 'OWN', token_endpoint: undefined }, 'has no token_endpoint'],
    ['in a document that is too long', { issuer: 'OWN', filler: 'x'.repeat(300_000) }, 'cannot be found'],
  ])('%s', async (_, document, message) => {
    const own = (issuer: string) => ({
      ...document,
      ...('issuer' in document && {
        issuer:
          document.issuer === 'OWN' ? issuer : document.issuer === 'SLASH' ? `${issuer}/` : document.issuer,
      }),
    })
    const { client, orders, issuer } = await discover((url) => ({ [OAUTH]: own(url) }))
    await expect(client().fetch(orders, { intent })).rejects.toThrow(message)
    expect(issuer.requests).toEqual([])
  })

  it('of a server that does not answer', async () => {
    const { client, orders, close } = await discover(() => ({}))
    await close()
    await expect(client().fetch(orders, { intent })).rejects.toThrow('no token: unreachable')
  })
})

it('private_key_jwt has the issuer as its audience', async () => {
  const { client, orders, issuer, issuerUrl } = await discover((url) => ({ [OAUTH]: { issuer: url } }))
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  await client({ clientAuth: { method: 'private_key_jwt', clientId: 'app', key: privateKey } }).fetch(
    orders,
    { intent },
  )
  const { payload } = await jwtVerify(issuer.requests[0]?.params.client_assertion ?? '', publicKey)
  expect(payload.aud).toBe(issuerUrl)
})

describe('a person is asked', () => {
  const redirectUri = 'https://app.example.com/callback'
  /** A person who comes back at once, with these parameters. */
  const person = (
    asked: URL[],
    options: Partial<AuthorizationOptions> = {},
  ): Partial<AgentClientOptions> => ({
    grant: 'authorization_code',
    authorization: {
      redirectUri,
      authorize({ url, state }) {
        asked.push(url)
        return `${redirectUri}?${new URLSearchParams({ state, code: 'a-code' })}`
      },
      ...options,
    },
  })
  const withCode = (issuer: string) => ({
    [OAUTH]: { issuer, authorization_endpoint: `${issuer}/authorize?tenant=1` },
  })

  it('at the endpoint of the metadata, whose own query stays', async () => {
    const asked: URL[] = []
    const { client, orders, issuer } = await discover(withCode)
    await client(person(asked, { parameters: { prompt: 'login' } })).fetch(orders, { intent })
    expect(asked[0]?.search).toMatch(/^\?tenant=1&prompt=login&response_type=code&client_id=app&/)
    const { params } = issuer.requests[0] ?? {}
    expect(params).toMatchObject({
      grant_type: 'authorization_code',
      code: 'a-code',
      redirect_uri: redirectUri,
    })
    expect(params?.code_verifier).toMatch(/^[\w-]{43}$/)
    expect(params).not.toHaveProperty('scope')
  })

  it('again for a scope that was not asked for, together with the earlier ones', async () => {
    const asked: URL[] = []
    const { client, orders } = await discover(withCode)
    const app = client(person(asked))
    for (const scope of ['a', 'b', 'a b']) await app.fetch(orders, { intent: { scope } })
    expect(asked.map((url) => url.searchParams.get('scope'))).toEqual(['a', 'a b'])
  })

  it('not again for a scope that the person refused, and not by requests at the same time', async () => {
    const asked: URL[] = []
    const { client, orders, issuer } = await discover(withCode)
    issuer.behavior.change = { scope: 'a' }
    const app = client(person(asked, { scope: 'a b c' }))
    await Promise.all(['a', 'b', 'c'].map((scope) => app.fetch(orders, { intent: { scope } })))
    expect(asked).toHaveLength(1)
  })

  it('again for each request with `once`, without a refresh token', async () => {
    const asked: URL[] = []
    const { client, orders } = await discover(withCode)
    const app = client(person(asked))
    for (const _ of [1, 2]) await app.fetch(orders, { intent: { ...intent, once: true } })
    expect(asked).toHaveLength(2)
  })

  it('again after the refresh token was refused, and not after another error', async () => {
    const asked: URL[] = []
    const { client, orders, issuer } = await discover(withCode)
    issuer.behavior.change = { refresh_token: 'r1' }
    const saved: unknown[] = []
    const store = { load: () => undefined, save: (value: unknown) => void saved.push(value) }
    const app = client(person(asked, { store }))
    await app.fetch(orders, { intent: { scope: 'a' } })
    const refuse = (error: string) => {
      issuer.behavior.answer = ({ params }) =>
        params.grant_type === 'refresh_token' ? { status: 400, body: { error } } : undefined
    }
    refuse('temporarily_unavailable')
    await expect(app.fetch(orders, { intent: { scope: 'a', once: true } })).rejects.toThrow(
      'temporarily_unavailable',
    )
    expect(asked).toHaveLength(1)
    refuse('invalid_grant')
    await app.fetch(orders, { intent: { scope: 'a', once: true } })
    expect(asked).toHaveLength(2)
    expect(saved).toEqual([
      expect.objectContaining({ refreshToken: 'r1' }),
      undefined,
      expect.objectContaining({ refreshToken: 'r1' }),
    ])
  })

  it('again after the token has expired, or was refused by an API', async () => {
    const asked: URL[] = []
    const { client, orders, issuer, api } = await discover(withCode)
    issuer.behavior.lifetime = 1
    const app = client(person(asked, { scope: 'a b c' }))
    for (const _ of [1, 2]) await app.fetch(orders, { intent: { scope: 'a' } })
    expect(asked).toHaveLength(2)
    issuer.behavior.lifetime = 300
    await app.fetch(orders, { intent: { scope: 'a' } })
    await app.fetch(orders, { intent: { scope: 'b' } })
    expect(asked).toHaveLength(3)
    let isRefused = true
    api.behavior.answer = (_, res) => {
      if (!isRefused) return false
      isRefused = false
      json(res, 401, {}, { 'www-authenticate': 'DPoP error="invalid_token"' })
      return true
    }
    expect((await app.fetch(orders, { intent: { scope: 'b' } })).status).toBe(200)
    await app.fetch(orders, { intent: { scope: 'c' } })
    expect(asked).toHaveLength(4)
  })

  it('again after an API has refused a token that was just issued, for another scope too', async () => {
    const asked: URL[] = []
    const { client, orders, api } = await discover(withCode)
    const app = client(person(asked, { scope: 'a b' }))
    api.behavior.answer = (_, res) => {
      json(res, 401, {}, { 'www-authenticate': 'DPoP error="invalid_token"' })
      return true
    }
    expect((await app.fetch(orders, { intent: { scope: 'a' } })).status).toBe(401)
    api.behavior.answer = () => false
    await app.fetch(orders, { intent: { scope: 'b' } })
    expect(asked).toHaveLength(2)
  })

  it('and an error message has no refresh token', async () => {
    const { client, orders, issuer } = await discover(withCode)
    issuer.behavior.change = { refresh_token: 'a-short-one' }
    issuer.behavior.answer = ({ params }) =>
      params.grant_type === 'refresh_token'
        ? {
            status: 400,
            body: { error: 'invalid_request', error_description: `bad ${params.refresh_token}` },
          }
        : undefined
    const app = client(person([], { scope: 'a b' }))
    await expect(app.fetch(orders, { intent: { scope: 'a' } })).rejects.toThrow('bad [redacted]')
  })

  it('and an error message has neither code, verifier nor refresh token', async () => {
    const { client, orders, issuer } = await discover(withCode)
    issuer.behavior.answer = ({ params }) => ({
      status: 400,
      body: { error: 'invalid_grant', error_description: `${params.code} ${params.code_verifier}` },
    })
    const error = await client(person([])).fetch(orders, { intent }).catch(String)
    expect(error).toContain('[redacted] [redacted]')
  })

  it.each([
    ['no authorization endpoint', {}],
    [
      'no PKCE with S256',
      { authorization_endpoint: 'https://as.example.com/a', code_challenge_methods_supported: ['plain'] },
    ],
  ])('never by a server with %s', async (_, document) => {
    const asked: URL[] = []
    const { client, orders } = await discover((issuer) => ({ [OAUTH]: { issuer, ...document } }))
    await expect(client(person(asked)).fetch(orders, { intent })).rejects.toThrow(
      'no authorization_endpoint with PKCE',
    )
    expect(asked).toEqual([])
  })

  it.each([
    ['no whole URL', '/callback?code=1'],
    ['nothing', undefined],
  ])('and %s is no redirect', async (_, redirect) => {
    const { client, orders, issuer } = await discover(withCode)
    const authorize = () => redirect as never
    await expect(client(person([], { authorize })).fetch(orders, { intent })).rejects.toThrow('the whole URL')
    expect(issuer.requests).toEqual([])
  })
})
