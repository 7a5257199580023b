import express from 'express'
import { Provider } from 'oidc-provider'
import { afterAll, describe, expect, it } from 'vitest'
import { generateSigningKey } from '../../../fixtures/authorization-server/signing-key.js'
import { ajwt } from '../../../middleware/express.js'
import { listen } from '../../support/listen.js'
import { callApi, createClient, newDpopKey } from '../../support/oauth-client.js'
import { configurationFor, signInAsAlice } from '../../support/oidc-provider.js'

// oidc-provider as it is published, without the grant of this library. The client is oauth4webapi.

const app = express()
const as = express()
const { origin: api, close: closeApi } = await listen(app)
const { origin: issuer, close: closeServer } = await listen(as)
afterAll(() => {
  closeApi()
  closeServer()
})

const configuration = configurationFor({
  signingKey: await generateSigningKey('as-1'),
  apis: new Set([api]),
  consent: { openid: 'openid', api: 'orders:read' },
})
const provider = new Provider(issuer, {
  ...configuration,
  features: { ...configuration.features, registration: { enabled: true } },
})
signInAsAlice(as, provider)
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

const read = { scope: 'orders:read', resource: api }
const login = { scope: 'openid orders:read', resource: api }
const order = `${api}/orders/1`

describe('oidc-provider', async () => {
  const client = await createClient(issuer, { grants: ['authorization_code', 'client_credentials'] })

  it('issues a Bearer token to a registered client, whose scope decides', async () => {
    const { access_token, token_type } = await client.clientCredentials(read)
    expect(token_type).toBe('bearer')
    expect(await callApi(order, access_token)).toMatchObject({
      status: 200,
      body: { subject: client.clientId, scopes: ['orders:read'] },
    })
    expect(await callApi(`${order}/refund`, access_token, undefined, 'POST')).toMatchObject({
      status: 403,
      body: { code: 'scope_insufficient' },
    })
  })

  it('binds a token to a DPoP key, and another key or none is refused', async () => {
    const key = await newDpopKey()
    const { access_token } = await client.clientCredentials(read, key)
    expect((await callApi(order, access_token, key)).status).toBe(200)
    expect(await callApi(order, access_token, await newDpopKey())).toMatchObject({
      body: { code: 'proof_key_mismatch' },
    })
    expect(await callApi(order, access_token)).toMatchObject({
      status: 401,
      body: { code: 'proof_required' },
    })
  })

  it('issues a token to a person by authorization code, and its ID token is refused', async () => {
    const { access_token, id_token } = await client.authorizationCode(login)
    expect(await callApi(order, access_token)).toMatchObject({ status: 200, body: { subject: 'alice' } })
    expect(await callApi(order, String(id_token))).toMatchObject({
      status: 401,
      body: { code: 'token_type_not_allowed' },
    })
  })

  it('binds the token of an authorization code to a DPoP key', async () => {
    const key = await newDpopKey()
    const { access_token, token_type } = await client.authorizationCode(login, key)
    expect(token_type).toBe('dpop')
    expect((await callApi(order, access_token, key)).status).toBe(200)
    expect(await callApi(order, access_token)).toMatchObject({
      status: 401,
      body: { code: 'proof_required' },
    })
  })
})
