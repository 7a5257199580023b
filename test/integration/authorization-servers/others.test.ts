import express from 'express'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ajwt } from '../../../middleware/express.js'
import type { DecisionFacts, IssuerPolicy } from '../../../src/index.js'
import { listen } from '../../support/listen.js'
import { callApi, createClient, type RegisteredClient } from '../../support/oauth-client.js'
import { hasServers, startServer, WITHOUT_SERVERS } from '../../support/servers.js'

// Servers that the npm registry has. None of these speaks DPoP or registers clients: the client is known to
// them.

const known = { id: 'orders-bot', secret: 'a secret of the test' }
const AUDIENCE = 'https://orders.example.com'

interface Api {
  readonly url: string
  /** Why the last request was refused. */
  cause(): DecisionFacts['cause']
}

/** An API whose policy has this entry for the issuer. */
async function protect(issuer: IssuerPolicy, audience = AUDIENCE): Promise<Api> {
  let cause: DecisionFacts['cause']
  const app = express()
  app.use(
    ajwt(
      {
        issuer,
        audience,
        publicUrl: AUDIENCE,
        proof: { required: false },
        routes: { 'GET /orders/:id': { scope: 'orders:read' } },
      },
      {
        onDecision(_, facts) {
          cause = facts.cause
        },
      },
    ),
  )
  app.use((req, res) => void res.json({ agent: req.ajwt?.agent.id, scopes: req.ajwt?.scopes }))
  const { origin, close } = await listen(app)
  afterAll(close)
  return { url: `${origin}/orders/1`, cause: () => cause }
}

async function start(name: string, discovery: 'oidc' | 'oauth2', env: Record<string, string> = {}) {
  const { issuer, program } = await startServer(name, { CLIENT_SECRET: known.secret, ...env })
  afterAll(() => program.stop())
  return { issuer, client: await createClient(issuer, { known, discovery }) }
}

describe.skipIf(!hasServers)(`oauth2-mock-server${WITHOUT_SERVERS}`, () => {
  let api: Api
  let plain: RegisteredClient
  let bareApi: Api
  let complete: RegisteredClient

  beforeAll(async () => {
    const bare = await start('oauth2-mock-server', 'oidc')
    const hooked = await start('oauth2-mock-server', 'oidc', { COMPLETE: AUDIENCE })
    plain = bare.client
    complete = hooked.client
    const entry = {
      profile: 'oauth',
      token: { types: ['JWT'], maxLifetime: 3600 },
      claims: { '/scope': { exists: true } },
    } as const
    bareApi = await protect({ url: bare.issuer, ...entry })
    api = await protect({ url: hooked.issuer, ...entry })
  }, 60_000)

  it('issues a token without a subject, which is refused', async () => {
    const { access_token } = await plain.clientCredentials({ scope: 'orders:read', aud: AUDIENCE })
    expect(await callApi(bareApi.url, access_token)).toMatchObject({ body: { code: 'claims_invalid' } })
    expect(bareApi.cause()).toMatchObject({ claim: 'sub' })
  })

  it('issues what the program under test needs, once its hook adds that', async () => {
    const { access_token } = await complete.clientCredentials({ scope: 'orders:read' })
    expect(await callApi(api.url, access_token)).toEqual({
      status: 200,
      body: { agent: known.id, scopes: ['orders:read'] },
    })
  })

  it('issues a token for another API, which is refused', async () => {
    const { access_token } = await complete.clientCredentials({
      scope: 'orders:read',
      aud: 'https://stock.example.com',
    })
    expect(await callApi(api.url, access_token)).toMatchObject({ body: { code: 'audience_mismatch' } })
  })

  it('issues an ID token, which is refused even where its audience is this API', async () => {
    const { id_token } = await complete.authorizationCode({ scope: 'openid orders:read' })
    expect(await callApi(api.url, String(id_token))).toMatchObject({
      body: { code: 'token_type_not_allowed' },
    })
  })
})

describe.skipIf(!hasServers)(`@jmondi/oauth2-server${WITHOUT_SERVERS}`, () => {
  let api: Api
  let client: RegisteredClient

  beforeAll(async () => {
    const server = await start('jmondi-oauth2-server', 'oauth2')
    client = server.client
    api = await protect({
      url: server.issuer,
      profile: 'oauth',
      token: { types: ['JWT'] },
      // Tokens of the client credentials grant have no sub.
      read: { subject: ['/sub', '/cid'] },
      claims: { '/cid': { exists: true } },
    })
  }, 60_000)

  it('issues a token to a client, whose scope decides', async () => {
    const parameters = { scope: 'orders:read', audience: AUDIENCE }
    const { access_token } = await client.clientCredentials(parameters)
    expect(await callApi(api.url, access_token)).toEqual({
      status: 200,
      body: { agent: known.id, scopes: ['orders:read'] },
    })
    const unscoped = await client.clientCredentials({ audience: AUDIENCE })
    expect(await callApi(api.url, unscoped.access_token)).toMatchObject({
      body: { code: 'scope_insufficient' },
    })
  })

  it.each([{ audience: 'https://stock.example.com' }, {}])(
    'issues a token with the audience of %o, which is refused',
    async (audience) => {
      const { access_token } = await client.clientCredentials({ scope: 'orders:read', ...audience })
      const code = 'audience' in audience ? 'audience_mismatch' : 'claims_invalid'
      expect(await callApi(api.url, access_token)).toMatchObject({ status: 401, body: { code } })
    },
  )
})

describe.skipIf(!hasServers)(`OpenAuth${WITHOUT_SERVERS}`, () => {
  it('issues a token that does not say since when it is valid, which no policy accepts', async () => {
    const { issuer, program } = await startServer('openauth', { CLIENT_SECRET: known.secret })
    afterAll(() => program.stop())
    const entry = {
      profile: 'oauth',
      token: { types: ['JWT'] },
      read: { id: 'hash' },
      claims: { '/mode': { equals: 'access' } },
    } as const
    const api = await protect({ url: issuer, ...entry }, known.id)
    // Its answer has no token_type, which RFC 6749 section 5.1 demands: oauth4webapi does not read it.
    const response = await fetch(`${issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        provider: 'machine',
        client_id: known.id,
        client_secret: known.secret,
      }),
    })
    const { access_token } = (await response.json()) as { access_token: string }
    expect(await callApi(api.url, access_token)).toMatchObject({ body: { code: 'claims_invalid' } })
    expect(api.cause()).toMatchObject({ claim: 'iat' })
  }, 60_000)
})
