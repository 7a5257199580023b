import { describe, expect, it } from 'vitest'
import { createVerifier, memoryRevocations, PolicyError } from '../../../src/index.js'
import type { McpPolicy, McpRules } from '../../../src/mcp/index.js'
import { protectPath } from '../../../src/mcp/protected-path.js'
import { createTestIssuer, type TestCall } from '../../../src/testing/index.js'
import { type McpGate, mcpApps } from '../../support/mcp/apps.js'
import { createFakeServer, events, verdictOf } from '../../support/mcp/fake-server.js'

const issuer = createTestIssuer()
const base: McpPolicy = {
  issuer: issuer.policyIssuer,
  audience: issuer.audience,
  token: { clockTolerance: 0 },
}
const rules: McpRules = {
  tools: {
    read: { scope: 'orders:read' },
    refund: { scope: 'orders:refund', arguments: { '/amount': { max: 100 } } },
  },
  methods: { 'tasks/get': 'authenticated' },
}

type Caller = Omit<TestCall, 'url'>

interface Init {
  readonly method?: string
  readonly path?: string
  readonly body?: object
  readonly session?: string
}

async function start(
  app: string,
  gate: Partial<Extract<McpGate, { protect: unknown }>> = {},
  server = createFakeServer(),
) {
  const auths: unknown[] = []
  const origin = await mcpApps[app]?.({ protect: base, rules, ...gate }, (call) => {
    auths.push(call.auth)
    return server.handler(call)
  })
  return {
    server,
    auths,
    origin: origin ?? '',
    async call(
      as: Caller | undefined,
      { method = 'POST', path = '/mcp', body, session }: Init = {},
    ): Promise<Response> {
      const credentials = as === undefined ? {} : issuer.headers({ ...as, method, url: path })
      return fetch(origin + path, {
        method,
        headers: {
          ...credentials,
          'content-type': 'application/json',
          ...(session === undefined ? {} : { 'mcp-session-id': session }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...body }) }),
      })
    },
  }
}

const a = { agent: 'a', scope: 'orders:read' }
const b = { agent: 'b', scope: 'orders:refund' }
const toolCall = (name: string, args: object = {}) => ({
  method: 'tools/call',
  params: { name, arguments: args },
})

describe.each(Object.keys(mcpApps))('protectMcp on %s', (app) => {
  it('serves the metadata, and demands a token for everything else', async () => {
    const { call, server } = await start(app)
    const metadata = await call(undefined, { method: 'GET', path: '/.well-known/oauth-protected-resource' })
    expect(await metadata.json()).toMatchObject({
      resource: issuer.audience,
      authorization_servers: [issuer.issuer],
    })
    for (const [method, path] of [
      ['POST', '/mcp'],
      ['GET', '/mcp'],
      ['DELETE', '/mcp'],
      ['GET', '/other'],
    ] as const) {
      const response = await call(undefined, {
        method,
        path,
        ...(method === 'POST' ? { body: toolCall('read') } : {}),
      })
      expect([method, path, response.status, response.headers.has('www-authenticate')]).toEqual([
        method,
        path,
        401,
        true,
      ])
    }
    expect(await verdictOf(call(a, { method: 'GET', path: '/other' }))).toBe('403 route_not_declared')
    expect(server.reached).toEqual([])
  })

  it('checks tools, and hands the grant to the SDK', async () => {
    const { call, auths } = await start(app)
    expect(await verdictOf(call(a, { body: toolCall('read') }))).toBe('200')
    expect(await verdictOf(call(a, { body: toolCall('refund', { amount: 1 }) }))).toBe(
      '403 scope_insufficient',
    )
    expect(await verdictOf(call(b, { body: toolCall('refund', { amount: 100 }) }))).toBe('200')
    expect(await (await call(b, { body: toolCall('refund', { amount: 101 }) })).json()).toMatchObject({
      result: { isError: true },
    })
    expect(await verdictOf(call(b, { body: toolCall('other') }))).toBe('200 -32602')
    expect(auths).toMatchObject([
      { token: '', scopes: ['orders:read'], extra: { ajwt: { agent: { id: 'a' } } } },
      { token: '', extra: { ajwt: { agent: { id: 'b' } } } },
    ])
  })

  it('gives a session to its owner alone, before any rule of a tool', async () => {
    const { call, server } = await start(app)
    const begun = await call(a, { body: { method: 'initialize', params: {} } })
    const session = begun.headers.get('mcp-session-id') ?? ''
    expect(session).not.toBe('')
    expect(await verdictOf(call(a, { session, body: toolCall('read') }))).toBe('200')
    for (const method of ['POST', 'GET', 'DELETE']) {
      const body = method === 'POST' ? { body: toolCall('other') } : {}
      expect(await verdictOf(call(b, { session, method, ...body }))).toBe('403 session_not_yours')
    }
    expect(server.reached).toEqual(['POST initialize', 'POST tools/call'])
    expect(await verdictOf(call(a, { session, method: 'GET' }))).toBe('200')
    expect(await verdictOf(call(a, { session, method: 'DELETE' }))).toBe('200')
    expect(await verdictOf(call(a, { session, method: 'DELETE' }))).toBe('404 -32001')
  })

  it('lets the app answer GET and DELETE where it has no sessions', async () => {
    const { call } = await start(
      app,
      {},
      createFakeServer(({ method }) => (method === 'POST' ? undefined : { status: 405 })),
    )
    expect(await verdictOf(call(a, { method: 'GET' }))).toBe('405')
    expect(await verdictOf(call(a, { method: 'DELETE' }))).toBe('405')
  })

  it('refuses a message that no parser has read, and tells why', async () => {
    const { call, server } = await start(app)
    expect(await verdictOf(call(a))).toMatch(/^400 -32[67]00$/)
    expect(server.reached).toEqual([])
  })

  it('ends a stream when its token is revoked', async () => {
    const revocations = memoryRevocations()
    const server = createFakeServer(() => ({
      headers: events,
      stream: (async function* () {
        for (;;) {
          yield ': tick\n\n'
          await new Promise((resolve) => setTimeout(resolve, 10))
        }
      })(),
    }))
    const { call } = await start(app, { options: { revocations } }, server)
    const response = await call(a, { body: toolCall('read') })
    setTimeout(() => revocations.revoke(`agent:${issuer.issuer} a`, Date.now() / 1000 + 60), 50)
    expect(await response.text()).toContain('"code":"token_revoked"')
  })

  it('checks every spelling of the path that reaches the handler', async () => {
    const { call, server } = await start(app, { protect: { ...base, unmatched: 'authenticate' } })
    for (const path of ['/mcp', '/MCP', '/mcp/', '/Mcp/', '/%6dcp', '//mcp', '/mcp/x', '/mcp;x'])
      await (await call(b, { path, body: toolCall('read') })).text()
    expect(server.reached).toEqual([])
  })

  it('checks what is below its path, unless a key names the next segment', async () => {
    for (const pattern of ['* /*', '* /mcp/*', '* /mcp/:name', '* /:server/:name']) {
      const routes = {
        '* /mcp': 'authenticated' as const,
        'POST /mcp/upload/:id': { scope: 'orders:refund' },
        [pattern]: 'authenticated' as const,
      }
      const { call } = await start(app, { protect: { ...base, routes } })
      const asked = call(b, { path: '/mcp/x', body: toolCall('read') })
      expect([pattern, await verdictOf(asked)]).toEqual([pattern, '403 scope_insufficient'])
      const { status } = await call(b, { path: '/mcp/upload/7', body: toolCall('read') })
      expect([200, 404]).toContain(status)
    }
  })

  it('leaves other paths to the policy', async () => {
    const routes = {
      'GET /health': 'public' as const,
      'POST /mcp': { scope: 'mcp' },
      'POST /mcp/health': 'public' as const,
    }
    const { call } = await start(app, { protect: { ...base, routes } })
    expect([200, 404]).toContain((await call(undefined, { method: 'GET', path: '/health' })).status)
    expect([200, 404]).toContain(
      (await call(undefined, { path: '/mcp/health', body: toolCall('read') })).status,
    )
    expect(await verdictOf(call(a, { body: toolCall('read') }))).toBe('403 scope_insufficient')
    expect(await verdictOf(call(a, { method: 'GET' }))).toBe('403 scope_insufficient')
    expect(await verdictOf(call({ ...a, scope: 'mcp orders:read' }, { method: 'GET' }))).toBe('200')
  })

  it('takes a verifier, and another path', async () => {
    const verifier = createVerifier({ ...base, routes: { '* /tools/mcp': 'authenticated' } })
    const { call, server } = await start(app, { protect: verifier, options: { path: '/tools/mcp' } })
    expect(await verdictOf(call(b, { path: '/tools/mcp', body: toolCall('read') }))).toBe(
      '403 scope_insufficient',
    )
    expect([200, 404]).toContain((await call(a, { path: '/tools/mcp', body: toolCall('read') })).status)
    server.reached.length = 0
    // An update that forgets the MCP server does not open it.
    verifier.update({ ...base, routes: {}, unmatched: 'public' })
    expect(await verdictOf(call(undefined, { path: '/tools/mcp', body: toolCall('read') }))).toBe(
      '401 credentials_missing',
    )
    expect(server.reached).toEqual([])
  })
})

describe('the policy of protectMcp', () => {
  const keysOf = (routes: McpPolicy['routes'], path = '/mcp') =>
    protectPath({ ...base, ...(routes === undefined ? {} : { routes }) }, path, {}).verifier.policy.routes

  it('gets a key for each method of the transport that it lacks', () => {
    expect(keysOf(undefined)).toEqual({ 'POST,GET,DELETE /mcp': 'authenticated' })
    expect(keysOf({ 'POST /mcp': { scope: 'x' } })).toEqual({
      'POST /mcp': { scope: 'x' },
      'GET,DELETE /mcp': { scope: 'x' },
    })
    expect(keysOf({ '* /mcp': { scope: 'x' } })).toEqual({ '* /mcp': { scope: 'x' } })
    expect(keysOf({ 'GET /mcp': 'public' })).toEqual({
      'GET /mcp': 'public',
      'POST,DELETE /mcp': 'authenticated',
    })
  })

  it.each([
    [
      { '* /*': { scope: 'x' } },
      'routes["* /*"]: also matches the MCP server: give "POST,GET,DELETE /mcp" a rule of its own',
    ],
    [{ 'POST /:server': { scope: 'x' } }, 'routes["POST /:server"]: also matches'],
    [{ 'GET /MCP': { scope: 'x' } }, 'routes["GET /MCP"]: also matches'],
    [{ 'GET /mcp/': { scope: 'x' } }, 'routes["GET /mcp/"]: also matches'],
    [{ 'GET /mcp/*': { scope: 'x' } }, 'routes["GET /mcp/*"]: also matches'],
  ])('is refused where a pattern also matches the path: %o', (routes, message) => {
    expect(() => keysOf(routes)).toThrow(PolicyError)
    expect(() => keysOf(routes)).toThrow(message)
  })

  it('may have patterns beside it', () => {
    const routes = { 'GET /orders/:id': { scope: 'x' }, 'PUT /*': { scope: 'x' }, 'GET /a/*': { scope: 'x' } }
    expect(keysOf(routes)).toEqual({ ...routes, 'POST,GET,DELETE /mcp': 'authenticated' })
    const own = { ...routes, 'GET /*': { scope: 'y' }, '* /mcp': 'authenticated' as const }
    expect(keysOf(own)).toEqual(own)
  })

  it('must have the keys where a verifier is given', () => {
    const verifier = createVerifier({ ...base, routes: { 'POST /mcp': 'authenticated' } })
    expect(() => protectPath(verifier, '/mcp', {})).toThrow(
      'routes: must have the key "GET,DELETE /mcp" for the MCP server',
    )
    expect(() => protectPath(verifier, '/mcp', { now: Date.now })).toThrow(
      'options: belong to createVerifier',
    )
  })

  it.each(['mcp', '/', '/mcp/', '/:mcp', '/*', '/a/../mcp', '/m%63p', 17])('refuses the path %o', (path) => {
    expect(() => protectPath(base, path as never, {})).toThrow(
      'options.path: must be the path of the MCP server',
    )
  })
})
