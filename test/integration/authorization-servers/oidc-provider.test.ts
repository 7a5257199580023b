import '../../../fixtures/authorization-server/quiet.js'
import { randomBytes } from 'node:crypto'
import express from 'express'
import * as oauth from 'oauth4webapi'
import { errors, Provider } from 'oidc-provider'
import { afterAll, describe, expect, it } from 'vitest'
import { generateSigningKey } from '../../../fixtures/authorization-server/signing-key.js'
import { ajwt } from '../../../middleware/express.js'
import { listen } from '../../support/listen.js'

// oidc-provider as it is published, without the grant of this library. The client is oauth4webapi.

const LOOPBACK = { [oauth.allowInsecureRequests]: true } as const
const CALLBACK = 'https://client.example.com/callback'
const app = express()
const as = express()
const { origin: api, close: closeApi } = await listen(app)
const { origin: issuer, close: closeServer } = await listen(as)
afterAll(() => {
  closeApi()
  closeServer()
})

const signingKey = await generateSigningKey('as-1')
const provider = new Provider(issuer, {
  jwks: { keys: [signingKey.privateJwk] },
  cookies: { keys: [randomBytes(32).toString('base64url')] },
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  // Everything that the client asks for is consented to.
  async loadExistingGrant(ctx) {
    const { client, session } = ctx.oidc
    const grant = new ctx.oidc.provider.Grant({
      ...(client !== undefined && { clientId: client.clientId }),
      ...(session?.accountId !== undefined && { accountId: session.accountId }),
    })
    grant.addOIDCScope('openid')
    grant.addResourceScope(api, 'orders:read')
    await grant.save()
    return grant
  },
  ttl: {
    AccessToken: 300,
    ClientCredentials: 300,
    Grant: 300,
    IdToken: 300,
    Interaction: 300,
    Session: 300,
  },
  features: {
    devInteractions: { enabled: false },
    registration: { enabled: true },
    clientCredentials: { enabled: true },
    dPoP: { enabled: true, nonceSecret: randomBytes(32) },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo(_, identifier) {
        if (identifier !== api) throw new errors.InvalidTarget('unknown resource')
        return {
          scope: 'orders:read orders:refund',
          audience: api,
          accessTokenTTL: 300,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256', kid: signingKey.kid } },
        }
      },
    },
  },
})
// The login page signs everybody in as Alice.
as.get('/interaction/:uid', (req, res) =>
  provider.interactionFinished(req, res, { login: { accountId: 'alice' } }),
)
as.use(provider.callback())

app.use(
  ajwt({
    issuer: { url: issuer, profile: 'oauth' },
    audience: api,
    proof: { required: false },
    routes: {
      'GET /orders/:id': { scope: 'orders:read' },
      'POST /orders/:id/refund': { scope: 'orders:refund' },
    },
  }),
)
app.use((req, res) => void res.json({ subject: req.ajwt?.subject, scopes: req.ajwt?.scopes }))

/** A client that registered itself (RFC 7591). */
async function register(metadata: Partial<oauth.OmitSymbolProperties<oauth.Client>>) {
  const url = new URL(issuer)
  const server = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, LOOPBACK))
  const client = await oauth.processDynamicClientRegistrationResponse(
    await oauth.dynamicClientRegistrationRequest(server, metadata, LOOPBACK),
  )
  return { server, client, auth: oauth.ClientSecretBasic(String(client.client_secret)) }
}

const machine = { grant_types: ['client_credentials'], response_types: [], redirect_uris: [] }
const web = { grant_types: ['authorization_code'], response_types: ['code'], redirect_uris: [CALLBACK] }

async function clientCredentials(scope: string, DPoP?: oauth.DPoPHandle) {
  const { server, client, auth } = await register(machine)
  const response = await oauth.clientCredentialsGrantRequest(
    server,
    client,
    auth,
    { scope, resource: api },
    { ...LOOPBACK, ...(DPoP !== undefined && { DPoP }) },
  )
  const { access_token } = await oauth.processClientCredentialsResponse(server, client, response)
  return { token: access_token, clientId: client.client_id }
}

/** Follows the redirects of the server, as a browser does, until they leave it. */
async function browse(start: URL): Promise<URL> {
  const cookies = new Map<string, string>()
  let url = start
  while (url.origin === issuer) {
    const cookie = [...cookies].map((pair) => pair.join('=')).join('; ')
    const response = await fetch(url, { redirect: 'manual', headers: { cookie } })
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (name !== undefined && value !== undefined) cookies.set(name, value)
    }
    const location = response.headers.get('location')
    if (location === null) throw new Error(`${response.status} at ${url}: ${await response.text()}`)
    url = new URL(location, url)
  }
  return url
}

async function authorizationCode(DPoP?: (client: oauth.Client) => oauth.DPoPHandle) {
  const { server, client, auth } = await register(web)
  const verifier = oauth.generateRandomCodeVerifier()
  const url = new URL(String(server.authorization_endpoint))
  url.search = new URLSearchParams({
    client_id: client.client_id,
    response_type: 'code',
    redirect_uri: CALLBACK,
    scope: 'openid orders:read',
    resource: api,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  }).toString()
  const params = oauth.validateAuthResponse(server, client, await browse(url))
  const response = await oauth.authorizationCodeGrantRequest(
    server,
    client,
    auth,
    params,
    CALLBACK,
    verifier,
    { ...LOOPBACK, additionalParameters: { resource: api }, ...(DPoP && { DPoP: DPoP(client) }) },
  )
  return oauth.processAuthorizationCodeResponse(server, client, response)
}

/** What the API answers to one call. */
async function call(token: string, DPoP?: oauth.DPoPHandle, method = 'GET', path = '/orders/1') {
  const options = { ...LOOPBACK, ...(DPoP !== undefined && { DPoP }) }
  const url = new URL(path, api)
  try {
    const response = await oauth.protectedResourceRequest(token, method, url, undefined, null, options)
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  } catch (error) {
    if (!(error instanceof oauth.WWWAuthenticateChallengeError)) throw error
    return { status: error.status, body: (await error.response.json()) as Record<string, unknown> }
  }
}

const newHandle = async () => oauth.DPoP({}, await oauth.generateKeyPair('ES256'))

describe('oidc-provider', () => {
  it('issues a Bearer token to a registered client, whose scope decides', async () => {
    const { token, clientId } = await clientCredentials('orders:read')
    expect(await call(token)).toMatchObject({
      status: 200,
      body: { subject: clientId, scopes: ['orders:read'] },
    })
    expect(await call(token, undefined, 'POST', '/orders/1/refund')).toMatchObject({
      status: 403,
      body: { code: 'scope_insufficient' },
    })
  })

  it('binds a token to a DPoP key, and another key or none is refused', async () => {
    const own = await newHandle()
    const { token } = await clientCredentials('orders:read', own)
    expect((await call(token, own)).status).toBe(200)
    expect(await call(token, await newHandle())).toMatchObject({ body: { code: 'proof_key_mismatch' } })
    expect(await call(token)).toMatchObject({ status: 401, body: { code: 'proof_required' } })
  })

  it('issues a token to a person by authorization code, and its ID token is refused', async () => {
    const { access_token, id_token } = await authorizationCode()
    expect(await call(access_token)).toMatchObject({ status: 200, body: { subject: 'alice' } })
    expect(await call(String(id_token))).toMatchObject({
      status: 401,
      body: { code: 'token_type_not_allowed' },
    })
  })

  it('binds the token of an authorization code to a DPoP key', async () => {
    const key = await oauth.generateKeyPair('ES256')
    const { access_token, token_type } = await authorizationCode((client) => oauth.DPoP(client, key))
    expect(token_type).toBe('dpop')
    expect((await call(access_token, oauth.DPoP({}, key))).status).toBe(200)
    expect(await call(access_token)).toMatchObject({ status: 401, body: { code: 'proof_required' } })
  })
})
