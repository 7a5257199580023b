import { describe, expect, it } from 'vitest'
import { challengeOf, createAgentClient } from '../../../../src/agent/index.js'
import { json } from '../../../support/agent/http.js'
import { payload, startServers } from '../../../support/agent/setup.js'

// Resource servers that do not use ajwt: their denials are known by WWW-Authenticate alone.

const intent = { scope: 'orders:read' }
const expired = { 'www-authenticate': 'DPoP error="invalid_token", algs="ES256"' }

/** An API that refuses the requests with these numbers. */
async function refusing(numbers: readonly number[], status: number, headers: Record<string, string>) {
  const servers = await startServers()
  let count = 0
  servers.api.behavior.answer = (_, res) => {
    count += 1
    if (!numbers.includes(count)) return false
    json(res, status, {}, headers)
    return true
  }
  return { ...servers, count: () => count }
}

describe('a resource server without ajwt', () => {
  it('that refuses a cached token as invalid gets a new one, once', async () => {
    const { client, orders, issuer } = await refusing([2], 401, expired)
    const planner = client()
    await planner.fetch(orders, { intent })
    expect((await planner.fetch(orders, { intent })).status).toBe(200)
    expect(issuer.issued).toHaveLength(2)
  })

  it('that refuses a token that was just issued gets no other one', async () => {
    const { client, orders, issuer, count } = await refusing([1, 2], 401, expired)
    const response = await client().fetch(orders, { intent })
    expect([response.status, issuer.issued.length, count()]).toEqual([401, 1, 1])
    expect(challengeOf(response)).toEqual({ scheme: 'DPoP', error: 'invalid_token', algs: ['ES256'] })
  })

  it('that refuses a cached token for another reason gets no other one', async () => {
    const challenge = 'DPoP error="insufficient_user_authentication", acr_values="phr"'
    const { client, orders, issuer } = await refusing([2], 401, { 'www-authenticate': challenge })
    const planner = client()
    await planner.fetch(orders, { intent })
    expect((await planner.fetch(orders, { intent })).status).toBe(401)
    expect(issuer.issued).toHaveLength(1)
  })

  it('that refuses every token is asked twice', async () => {
    const { client, orders, count } = await refusing([2, 3, 4], 401, expired)
    const planner = client()
    await planner.fetch(orders, { intent })
    expect((await planner.fetch(orders, { intent })).status).toBe(401)
    expect(count()).toBe(3)
  })

  it('that requires a scope gets it if stepUp has it, from the challenge for DPoP', async () => {
    const challenge =
      'Bearer error="invalid_token", DPoP error="insufficient_scope", scope="orders:read orders:all"'
    const { client, orders, issuer } = await refusing([1], 403, { 'www-authenticate': challenge })
    expect((await client('planner', { stepUp: ['orders:all'] }).fetch(orders, { intent })).status).toBe(200)
    expect(issuer.requests.map(({ params }) => params.scope)).toEqual([
      'orders:read',
      'orders:all orders:read',
    ])
  })

  it.each([
    ['stepUp does not have it all', 403, 'DPoP error="insufficient_scope", scope="orders:all admin"'],
    ['the error is another one', 403, 'DPoP error="access_denied", scope="orders:all"'],
    ['the challenge names no scope', 403, 'DPoP error="insufficient_scope"'],
    ['there is no challenge', 403, ''],
    ['the status is another one', 402, 'DPoP error="insufficient_scope", scope="orders:all"'],
  ])('gets no other token where %s', async (_, status, challenge) => {
    const { client, orders, issuer } = await refusing([1], status, { 'www-authenticate': challenge })
    const response = await client('planner', { stepUp: ['orders:all'] }).fetch(orders, { intent })
    expect([response.status, issuer.issued.length]).toEqual([status, 1])
  })

  it('that requires a scope for a body that cannot be sent again is not asked again', async () => {
    const challenge = 'DPoP error="insufficient_scope", scope="orders:all"'
    const { client, orders, issuer } = await refusing([1], 403, { 'www-authenticate': challenge })
    const body = new Blob(['{}']).stream()
    const init = { method: 'POST', body, duplex: 'half', intent } as const
    expect((await client('planner', { stepUp: ['orders:all'] }).fetch(orders, init)).status).toBe(403)
    expect(issuer.issued).toHaveLength(1)
  })
})

describe('a token exchange as the grant', () => {
  it('sends the current subject token, with its type, and no checksum', async () => {
    const { issuer, client, orders } = await startServers()
    await client().fetch(orders, { intent })
    const [subject = ''] = issuer.issued
    issuer.behavior.claims = { sub: 'app' }
    const current = [subject]
    const exchanging = createAgentClient({
      tokenEndpoint: issuer.tokenEndpoint,
      clientAuth: { method: 'none', clientId: 'app' },
      grant: 'token-exchange',
      subjectToken: async () => current[0] ?? '',
      tokenParameters: { audience: 'orders' },
    })
    expect((await exchanging.fetch(orders, { intent })).status).toBe(200)
    await exchanging.fetch(orders, { intent })
    expect(issuer.requests.slice(1).map(({ params }) => params)).toEqual([
      {
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        scope: 'orders:read',
        resource: new URL(orders).origin,
        subject_token: subject,
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        audience: 'orders',
        client_id: 'app',
      },
    ])
    // Another person: their token must not be served from the cache.
    await client('other').fetch(orders, { intent })
    current[0] = issuer.issued.at(-1) ?? ''
    await exchanging.fetch(orders, { intent })
    expect(issuer.requests.at(-1)?.params.subject_token).toBe(current[0])
  })

  it('has the type of the option for its own token, and that of an access token for the token of a caller', async () => {
    const { issuer, client, orders } = await startServers()
    await client().fetch(orders, { intent })
    const [token = ''] = issuer.issued
    const { jti, sub } = payload(token)
    const exchanging = createAgentClient({
      tokenEndpoint: issuer.tokenEndpoint,
      clientAuth: { method: 'none', clientId: 'app' },
      grant: 'token-exchange',
      subjectToken: token,
      subjectTokenType: 'urn:example:other',
    })
    await exchanging.fetch(orders, { intent }).catch(() => {})
    const grant = { agent: { id: String(sub) }, token: { id: String(jti) }, claims: {} }
    const run = await exchanging.actAs(grant, { subjectToken: token })
    await run.fetch(orders, { intent }).catch(() => {})
    expect(issuer.requests.map(({ params }) => params.subject_token_type)).toEqual([
      undefined,
      'urn:example:other',
      'urn:ietf:params:oauth:token-type:access_token',
    ])
  })

  it('refuses an issued token that is no access token', async () => {
    const { issuer, client, orders } = await startServers()
    await client().fetch(orders, { intent })
    issuer.behavior.change = { issued_token_type: 'urn:ietf:params:oauth:token-type:id_token' }
    const exchanging = createAgentClient({
      tokenEndpoint: issuer.tokenEndpoint,
      clientAuth: { method: 'none', clientId: 'app' },
      grant: 'token-exchange',
      subjectToken: issuer.issued[0] ?? '',
    })
    await expect(exchanging.fetch(orders, { intent })).rejects.toThrow('is no access token')
  })
})

describe('a grant without an intent', () => {
  it.each([
    ['workflow', { workflow: 'refund' }],
    ['workflow', { workflow: 'refund', step: 'look' }],
    ['hash', { hash: 'h'.repeat(43) }],
  ])('carries no %s: nothing is sent', async (member, more) => {
    const { issuer, client, orders, api } = await startServers()
    const app = client('planner', { grant: 'client_credentials' })
    await expect(app.fetch(orders, { intent: { ...intent, ...more } })).rejects.toThrow(
      `carries no ${member}`,
    )
    expect([issuer.requests, api.requests]).toEqual([[], []])
  })

  it('carries no delegation', async () => {
    const { issuer, client, orders, api } = await startServers()
    const planner = client('planner')
    const worker = client('worker', { grant: 'client_credentials' })
    const chain = await planner.delegate(await worker.identity(), {
      scope: 'orders:read',
      audience: api.origin,
    })
    const run = await worker.acceptDelegation(chain, { from: await planner.identity() })
    await expect(run.fetch(orders, { intent })).rejects.toThrow('carries no delegation')
    expect(issuer.requests).toEqual([])
  })

  it('takes a token with more scope than was requested, and agent_checksum does not', async () => {
    const { issuer, client, orders } = await startServers()
    issuer.behavior.change = { scope: 'orders:read profile' }
    issuer.behavior.claims = { sub: 'app' }
    expect((await client('planner', { grant: 'client_credentials' }).fetch(orders, { intent })).status).toBe(
      200,
    )
    await expect(client().fetch(orders, { intent })).rejects.toThrow('more scope than was requested')
  })

  it('needs a subject token, if it is a token exchange', async () => {
    const { client, orders, issuer } = await startServers()
    const app = client('planner', { grant: 'token-exchange' })
    await expect(app.fetch(orders, { intent })).rejects.toThrow('needs the option subjectToken')
    expect(issuer.requests).toEqual([])
  })
})

describe('options of a client for another grant', () => {
  const clientAuth = { method: 'none', clientId: 'app' } as const
  const issuer = 'https://as.example.com'
  const redirectUri = 'https://app.example.com/callback'
  const authorize = () => redirectUri
  it.each([
    ['no agent', { issuer, clientAuth }, 'agent must be what defineAgent returned'],
    ['an unknown grant', { issuer, clientAuth, grant: 'password' }, 'grant must be agent_checksum,'],
    ['no server', { clientAuth, grant: 'client_credentials' }, 'either issuer or tokenEndpoint'],
    [
      'two servers',
      { issuer, tokenEndpoint: `${issuer}/token`, clientAuth, grant: 'client_credentials' },
      'either issuer or tokenEndpoint',
    ],
    [
      'an insecure issuer',
      { issuer: 'http://as.example.com', clientAuth, grant: 'client_credentials' },
      'https URL',
    ],
    [
      'an issuer with a query',
      { issuer: `${issuer}?a`, clientAuth, grant: 'client_credentials' },
      'no query',
    ],
    [
      'no authorization',
      { issuer, clientAuth, grant: 'authorization_code' },
      'needs the option authorization',
    ],
    [
      'no issuer for a code',
      {
        tokenEndpoint: `${issuer}/token`,
        clientAuth,
        grant: 'authorization_code',
        authorization: { redirectUri, authorize },
      },
      'needs the option issuer',
    ],
    [
      'a parameter of the client itself',
      {
        issuer,
        clientAuth,
        grant: 'authorization_code',
        authorization: { redirectUri, authorize, parameters: { state: '1' } },
      },
      'authorization.parameters.state is set by the client',
    ],
    [
      'a token parameter of the client itself',
      { issuer, clientAuth, grant: 'client_credentials', tokenParameters: { scope: 'all' } },
      'tokenParameters.scope is set by the client',
    ],
  ])('%s', (_, options, message) => {
    expect(() => Reflect.apply(createAgentClient, undefined, [options])).toThrow(message)
  })
})
