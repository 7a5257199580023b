import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openBrowser } from '../../../fixtures/authorization-server/browser.js'
import {
  type AuthorizationServer,
  startAuthorizationServer,
} from '../../../fixtures/authorization-server/server.js'
import type { McpRules } from '../../../src/mcp/index.js'
import { needs } from '../../support/installed.js'
import {
  type Called,
  type McpBackend,
  type McpClientKind,
  type McpConnection,
  type McpPackages,
  type Seen,
  UNLISTED,
} from '../../support/mcp/contract.js'
import { loadMcpPackages } from '../../support/mcp/packages.js'
import { type McpFramework, mcpApp } from '../../support/mcp/sdk-apps.js'

// From a 401 to an allowed and a refused tool call: every client library against both SDKs as servers.

const packages = await loadMcpPackages()
const clients = packages?.clients ?? []

const SERVERS: readonly (readonly [McpFramework, keyof McpPackages['servers']])[] = [
  ['Express', 'sdk1'],
  ['Koa', 'sdk1'],
  ['Hono', 'sdk1'],
  ['Express', 'sdk2'],
  ['Express', 'modern'],
  ['Hono', 'modern'],
  ['Koa', 'modern'],
  ['Fastify', 'modern'],
  ['node:http', 'sdk1'],
]

const SCOPES = ['orders:read', 'orders:refund']
const CLIENT_DOCUMENT = 'https://client.example/metadata.json'
/** The approval of the person, as a claim of every token. */
const LIMIT = 500

const RULES: McpRules = {
  tools: {
    read: {},
    refund: { scope: 'orders:refund', arguments: { '/amount': { min: 1, maxClaim: '/limit' } } },
    admin: { agents: ['nobody'] },
  },
}

/** A refusal that no other token would mend: the model reads it, and the client does not start over. */
const refusedInBand = {
  kind: 'result',
  isError: true,
  text: expect.stringMatching(/\S/),
  meta: {
    'io.modelcontextprotocol/authorization': {
      reason: 'insufficient_authorization',
      remediation: 'unavailable',
    },
  },
}

let as: AuthorizationServer
beforeAll(async () => {
  as = await startAuthorizationServer({
    resources: { 'https://unused.example': SCOPES },
    codeFlow: {
      accountId: 'user-1',
      claims: { limit: LIMIT },
      clientDocuments: {
        [CLIENT_DOCUMENT]: {
          client_id: CLIENT_DOCUMENT,
          client_name: 'tests',
          redirect_uris: ['http://127.0.0.1:1/callback'],
          grant_types: ['authorization_code'],
          response_types: ['code'],
          token_endpoint_auth_method: 'none',
        },
      },
    },
  })
})
afterAll(() => as.close())

describe.skipIf(packages === undefined)(`MCP servers and clients${needs('mcp')}`, () => {
  for (const [framework, kind] of SERVERS) {
    describe(`${framework}, ${packages?.servers[kind].name}`, () => {
      const server = serve(framework, kind)

      it('a request without credentials learns where to get them', async () => {
        const { status, challenge, metadata } = await server.discover()
        expect(status).toBe(401)
        // Clients of SDK 1 read the first challenge, and only if its scheme is Bearer.
        expect(challenge).toMatch(/^Bearer scope="orders:read", resource_metadata="[^"]+", DPoP /)
        expect(metadata).toMatchObject({
          resource: expect.stringMatching(/\/mcp$/),
          authorization_servers: [as.issuer],
          scopes_supported: ['orders:read'],
          dpop_signing_alg_values_supported: expect.arrayContaining(['ES256']),
        })
      })

      for (const client of clients) {
        const schemes = client.dpop ? (['Bearer', 'DPoP'] as const) : (['Bearer'] as const)
        for (const scheme of schemes)
          it(`${client.name}, ${scheme}`, () => wholeFlow(server, client, scheme === 'DPoP'))
      }
    })
  }

  describe('client ID metadata documents', () => {
    const server = serve('node:http', 'modern')
    it.each(clients.filter(({ name }) => name.startsWith('SDK')))('$name', async (client) => {
      const connection = await server.connect(client, { clientMetadataUrl: CLIENT_DOCUMENT })
      expect(decodeJwt(connection.token).client_id).toBe(CLIENT_DOCUMENT)
      expect(seenBy(await connection.call('read', { order: '7' })).auth?.clientId).toBe(CLIENT_DOCUMENT)
      await connection.close()
    })
  })
})

async function wholeFlow(server: Served, client: McpClientKind, dpop: boolean): Promise<void> {
  const connection = await server.connect(client, { dpop })
  const { call, requestedScopes, sessionId } = connection
  expect(requestedScopes).toEqual(['orders:read'])
  expect('cnf' in decodeJwt(connection.token)).toBe(dpop)
  await allowedCall(connection)

  const refund = await call('refund', { order: '7', amount: LIMIT })
  if (client.stepUp) {
    // The challenge names what the route and the tool demand, so that the new token serves both.
    expect(requestedScopes.slice(1).map((scope) => scope.split(' ').sort())).toEqual([SCOPES])
    expect(seenBy(refund)).toMatchObject({ tool: 'refund', args: { amount: LIMIT } })
    expect(await call('refund', { order: '7', amount: LIMIT + 1 })).toMatchObject(refusedInBand)
    // The handler's default would act on 1000.
    expect(await call('refund', { order: '7' })).toMatchObject(refusedInBand)
    expect(server.ran()).toEqual(['read', 'refund'])
    // A new token of the same caller keeps the session.
    expect(connection.sessionId).toBe(sessionId)
  } else {
    expect(refund).toMatchObject({ kind: 'http', status: 403 })
    expect(server.ran()).toEqual(['read'])
  }

  expect(await call('admin', {})).toMatchObject(refusedInBand)
  for (const unknown of ['unnamed', 'Read', 'constructor'])
    expect(await call(unknown, {})).toMatchObject({
      kind: 'error',
      code: expect.toBeOneOf([-32602, UNLISTED]),
    })
  expect(server.ran()).toEqual([])
  await connection.close()
}

async function allowedCall(connection: McpConnection): Promise<void> {
  expect(await connection.listTools()).toContain('read')
  const seen = seenBy(await connection.call('read', { order: '7' }))
  const { clientId } = connection
  expect(seen).toEqual({
    tool: 'read',
    args: { order: '7' },
    auth: { clientId, scopes: ['orders:read'], agent: clientId, token: '' },
  })
}

function seenBy(called: Called): Seen {
  expect(called).toMatchObject({ kind: 'result', isError: false })
  return JSON.parse(called.kind === 'result' ? called.text : '')
}

interface Served {
  connect(
    client: McpClientKind,
    options?: { dpop?: boolean; clientMetadataUrl?: string },
  ): Promise<McpConnection>
  /** The challenge to a request without credentials, and the metadata that it points to. */
  discover(): Promise<{ status: number; challenge: string; metadata: unknown }>
  /** Names of the tools that ran since the last time. */
  ran(): readonly string[]
}

/** A server for the tests of one `describe`. */
function serve(framework: McpFramework, kind: keyof McpPackages['servers']): Served {
  const http = createServer()
  let backend: McpBackend | undefined
  let url = ''
  let seen = 0

  beforeAll(async () => {
    if (packages === undefined) return
    await once(http.listen(0, '127.0.0.1'), 'listening')
    url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`
    as.addResource(url, SCOPES)
    backend = packages.servers[kind].start()
    const policy = {
      // The agent is the client: MCP clients have no other name.
      issuer: { url: as.issuer, profile: 'oauth', read: { agent: '/client_id' } },
      audience: url,
      proof: { required: false },
      metadata: { scopes: ['orders:read'] },
      routes: { '* /mcp': { scope: 'orders:read' } },
    } as const
    http.on(
      'request',
      mcpApp(framework, { policy, rules: RULES, backend }, packages.apps, packages.servers[kind].sdk),
    )
  })
  afterAll(async () => {
    http.close()
    http.closeAllConnections()
    await backend?.close()
  })

  return {
    connect: (client, options) => client.connect({ url, authorize: openBrowser().authorize, ...options }),
    async discover() {
      const { status, headers } = await fetch(url, { method: 'POST' })
      const challenge = headers.get('www-authenticate') ?? ''
      const [, at = ''] = /resource_metadata="([^"]+)"/.exec(challenge) ?? []
      return { status, challenge, metadata: await (await fetch(at)).json() }
    },
    ran() {
      const names = backend?.ran.slice(seen) ?? []
      seen += names.length
      return names
    },
  }
}
