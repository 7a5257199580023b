import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createAgentClient } from '../../../src/agent/index.js'
import { copyExamples } from '../../support/docs/example-folder.js'
import {
  browse,
  CALLBACK,
  callApi,
  createClient,
  newDpopKey,
  type RegisteredClient,
} from '../../support/oauth-client.js'
import { freePort } from '../../support/program.js'
import { hasServers, serverModules, WITHOUT_SERVERS } from '../../support/servers.js'

// fixtures/examples/better-auth: its server and its API, each a process, and a client that registers itself.

describe.skipIf(!hasServers)(`better-auth with its OAuth provider${WITHOUT_SERVERS}`, () => {
  let client: RegisteredClient
  let machine: RegisteredClient
  let api = ''
  let other = ''
  let issuer = ''

  beforeAll(async () => {
    const { start, close } = copyExamples(['better-auth'], serverModules)
    afterAll(close)
    const [server, port, otherPort] = [await freePort(), await freePort(), await freePort()]
    const origin = `http://localhost:${server}`
    issuer = `${origin}/api/auth`
    api = `http://localhost:${port}`
    other = `http://localhost:${otherPort}`
    const authorizationServer = start('better-auth', {
      PORT: String(server),
      ORIGIN: origin,
      APIS: `${api},${other}`,
    })
    const output = await authorizationServer.listening()
    const env = { PORT: String(port), ISSUER: `${origin}/api/auth`, PUBLIC_URL: api }
    await start('better-auth', env, 'api').listening()
    client = await createClient(`${origin}/api/auth`)
    const [, id = '', secret = ''] = /client for development: (\w+) (\w+)/.exec(output) ?? []
    machine = await createClient(`${origin}/api/auth`, { known: { id, secret }, authentication: 'basic' })
  }, 60_000)

  const parameters = () => ({ scope: 'orders:read', resource: api })

  it('issues a token to a person, whose scope decides what the API answers', async () => {
    const { access_token, token_type } = await client.authorizationCode(parameters())
    expect(token_type).toBe('bearer')
    expect(await callApi(`${api}/orders/17`, access_token)).toEqual({
      status: 200,
      body: { order: '17', readBy: expect.stringMatching(/^\w{32}$/) },
    })
    expect(await callApi(`${api}/orders/17/refund`, access_token, undefined, 'POST')).toMatchObject({
      status: 403,
      body: { code: 'scope_insufficient' },
    })
  })

  it('binds a token to a DPoP key, and another key or none is refused', async () => {
    const key = await newDpopKey()
    const { access_token, token_type } = await client.authorizationCode(parameters(), key)
    expect(token_type).toBe('dpop')
    expect(await callApi(`${api}/orders/17`, access_token, key)).toMatchObject({ status: 200 })
    expect(await callApi(`${api}/orders/17`, access_token, await newDpopKey())).toMatchObject({
      status: 401,
      body: { code: 'proof_key_mismatch' },
    })
    expect(await callApi(`${api}/orders/17`, access_token)).toMatchObject({
      status: 401,
      body: { code: 'proof_required' },
    })
  })

  it('issues a token for another API, which is refused here', async () => {
    const { access_token } = await client.authorizationCode({ ...parameters(), resource: other })
    expect(await callApi(`${api}/orders/17`, access_token)).toMatchObject({
      status: 401,
      body: { code: 'audience_mismatch' },
    })
  })

  it('issues an ID token, which is refused', async () => {
    const { access_token, id_token } = await client.authorizationCode({
      ...parameters(),
      scope: 'openid orders:read',
    })
    expect(await callApi(`${api}/orders/17`, access_token)).toMatchObject({ status: 200 })
    expect(await callApi(`${api}/orders/17`, String(id_token))).toMatchObject({
      status: 401,
      body: { code: 'token_type_not_allowed' },
    })
  })

  it('issues an opaque token where no resource is asked for, which is refused', async () => {
    const { access_token } = await client.authorizationCode({ scope: 'orders:read' })
    expect(access_token.split('.')).toHaveLength(1)
    expect(await callApi(`${api}/orders/17`, access_token)).toMatchObject({
      status: 401,
      body: { code: 'token_malformed' },
    })
  })

  it('issues a token to a client that calls for itself, as Bearer and with DPoP', async () => {
    const bearer = await machine.clientCredentials(parameters())
    expect(await callApi(`${api}/orders/17`, bearer.access_token)).toEqual({
      status: 200,
      body: { order: '17', readBy: machine.clientId },
    })
    const key = await newDpopKey()
    const { access_token } = await machine.clientCredentials(parameters(), key)
    expect(await callApi(`${api}/orders/17`, access_token, key)).toMatchObject({ status: 200 })
    expect(await callApi(`${api}/orders/17`, access_token)).toMatchObject({
      body: { code: 'proof_required' },
    })
  })

  it('issues tokens to the agent client, with its own grant and for a person', async () => {
    const read = { intent: { scope: 'orders:read' } }
    const own = createAgentClient({
      issuer,
      clientAuth: { method: 'client_secret_basic', ...machine },
      grant: 'client_credentials',
    })
    const response = await own.fetch(`${api}/orders/17`, read)
    expect(await response.json()).toEqual({ order: '17', readBy: machine.clientId })
    await expect(own.fetch(`${api}/orders/17/refund`, { ...read, method: 'POST' })).rejects.toMatchObject({
      code: 'scope_insufficient',
    })

    const forPerson = createAgentClient({
      issuer,
      clientAuth: { method: 'client_secret_post', ...client },
      grant: 'authorization_code',
      authorization: { redirectUri: CALLBACK, authorize: ({ url }) => browse(url) },
    })
    const answer = await forPerson.fetch(`${api}/orders/17`, read)
    expect(await answer.json()).toEqual({ order: '17', readBy: expect.stringMatching(/^\w{32}$/) })
  })
})
