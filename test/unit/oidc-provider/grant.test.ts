import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { decodeJwt, type JWTPayload } from 'jose'
import Provider from 'oidc-provider'
import { afterEach, describe, expect, it } from 'vitest'
import { generateSigningKey } from '../../../fixtures/authorization-server/signing-key.js'
import { agentChecksum, createAgentClient, defineAgent } from '../../../src/agent/index.js'
import {
  type AgentChecksumGrantOptions,
  agentChecksumGrant,
  checkedRegistration,
  intentClaims,
  memoryRegistry,
  type Registry,
} from '../../../src/oidc-provider/index.js'
import '../../../fixtures/authorization-server/quiet.js'

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

const API = 'https://orders.example.com'
const agent = defineAgent({ id: 'planner', prompt: 'You plan.', tools: [] })

/** A provider as its operator configures it, in front of any registry. */
async function start(
  options: AgentChecksumGrantOptions,
  extraTokenClaims: unknown = intentClaims,
  format = 'jwt',
) {
  const http = createServer()
  await once(http.listen(0, '127.0.0.1'), 'listening')
  closing.push(() => http.close())
  const issuer = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
  const { privateJwk } = await generateSigningKey('as-1')
  const resource = {
    scope: 'orders:read',
    audience: API,
    accessTokenFormat: format as 'jwt',
    jwt: { sign: { alg: 'ES256' as const } },
  }
  const provider = new Provider(issuer, {
    jwks: { keys: [privateJwk as never] },
    cookies: { keys: ['only for this test'] },
    clients: [
      {
        client_id: 'shop',
        client_secret: 'open sesame',
        grant_types: ['urn:ietf:params:oauth:grant-type:agent_checksum'],
        response_types: [],
        redirect_uris: [],
        id_token_signed_response_alg: 'ES256',
      },
    ],
    extraTokenClaims,
    features: {
      devInteractions: { enabled: false },
      dPoP: { enabled: true },
      resourceIndicators: { enabled: true, getResourceServerInfo: () => resource },
    },
  } as never)
  const errors: Error[] = []
  provider.on('server_error', (_, error) => void errors.push(error))
  await agentChecksumGrant(provider, options)
  http.on('request', provider.callback())
  const client = createAgentClient({
    agent,
    tokenEndpoint: `${issuer}/token`,
    clientAuth: { method: 'client_secret_basic', clientId: 'shop', clientSecret: 'open sesame' },
    resource: API,
    fetch: async (url, init) => {
      if (url.startsWith(issuer)) return fetch(url, init)
      return Response.json(decodeJwt(new Headers(init.headers).get('authorization')?.slice(5) ?? ''))
    },
  })
  return { client, errors }
}

/** A registry that somebody else wrote: every answer takes a while, as a database's does. */
async function database(): Promise<Registry & { seen: string[] }> {
  const soon = <T>(value: T) => new Promise<T>((resolve) => setTimeout(resolve, 1, value))
  const checksum = await agentChecksum(agent)
  const row = await checkedRegistration({ definition: agent, checksum, scopes: ['orders:read'] }, 7)
  const seen: string[] = []
  return {
    seen,
    registrations: (id) => soon(id === 'planner' ? [row] : []),
    permitted: (clientId) => soon(clientId === 'shop'),
    sawKey: ({ registrationId }) => soon(void seen.push(registrationId)),
    knowsKey: () => soon(false),
    approval: () => soon(undefined),
    useApproval: () => soon(false),
  }
}

const intent = { scope: 'orders:read' }

describe('agentChecksumGrant', () => {
  it('works with a registry and workflows that are looked up elsewhere', async () => {
    const registry = await database()
    const [registered] = await registry.registrations('planner')
    const workflows = async (id: string) =>
      id === 'audit' ? [{ id: 'read', scopes: ['orders:read'] }] : undefined
    const { client } = await start({ registry, workflows, lifetime: 60 })
    const claims: JWTPayload = await client
      .startWorkflow('audit')
      .step(
        'read',
        async (step) => (await step.fetch(`${API}/orders`, { intent })).json() as Promise<JWTPayload>,
      )
    expect(claims).toMatchObject({
      sub: 'planner',
      intent: { workflow_id: 'audit', workflow_step: 'read' },
      agent_proof: { registration_id: registered?.registrationId },
    })
    expect(Number(claims.exp) - Number(claims.iat)).toBe(60)
    expect(registry.seen).toEqual([registered?.registrationId])
    await expect(client.startWorkflow('payroll').fetch(`${API}/orders`, { intent })).rejects.toThrow(
      'invalid_grant',
    )
  })

  it('takes nothing but true for permission', async () => {
    const registry = { ...(await database()), permitted: () => 'no' as never }
    const { client } = await start({ registry })
    await expect(client.fetch(`${API}/orders`, { intent })).rejects.toThrow('invalid_grant')
  })

  it('gives out no token that lacks its intent, for want of intentClaims', async () => {
    const { client, errors } = await start({ registry: await database() }, () => ({}))
    await expect(client.fetch(`${API}/orders`, { intent })).rejects.toThrow('server_error')
    expect(errors.map(({ message }) => message)).toEqual([
      "the provider's extraTokenClaims is not ajwt's intentClaims",
    ])
  })

  it('gives out no opaque token', async () => {
    const { client, errors } = await start({ registry: await database() }, intentClaims, 'opaque')
    await expect(client.fetch(`${API}/orders`, { intent })).rejects.toThrow('server_error')
    expect(errors.map(({ message }) => message)).toEqual([
      `getResourceServerInfo: accessTokenFormat of ${API} must be 'jwt'`,
    ])
  })

  it.each([['lifetime'], ['maxDepth'], ['runLifetime']])(
    'refuses a %s that is no positive whole number',
    (option) => {
      const grant = () => agentChecksumGrant({} as never, { registry: memoryRegistry(), [option]: 0.5 })
      expect(grant).toThrow(`${option} must be`)
    },
  )
})
