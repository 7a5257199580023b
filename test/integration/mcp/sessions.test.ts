import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AUDIENCE, createKit, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import { createVerifier, memoryRevocations } from '../../../src/index.js'
import { needs } from '../../support/installed.js'
import type { McpBackend, McpPackages, Seen } from '../../support/mcp/contract.js'
import { loadMcpPackages } from '../../support/mcp/packages.js'
import { type McpFramework, mcpApp } from '../../support/mcp/sdk-apps.js'

// Sessions and streams of the SDKs' own transports, used by two agents.

const packages = await loadMcpPackages()

const SERVERS: readonly (readonly [McpFramework, 'sdk1' | 'sdk2'])[] = [
  ['Express', 'sdk1'],
  ['Koa', 'sdk1'],
  ['Hono', 'sdk1'],
  ['Express', 'sdk2'],
  ['Hono', 'sdk2'],
]

/** Claims of the tokens of two agents, and of one that acts for two people. */
const SEVEN = {}
const EIGHT = { sub: 'agent-8', intent: createKit().intent({ executed_by: 'agent-8' }) }
const SEVEN_FOR_ANOTHER = { intent: createKit().intent({ initiated_by: 'user-2' }) }

type Claims = Record<string, unknown>

describe.skipIf(packages === undefined)(`sessions of the SDKs${needs('mcp')}`, () => {
  for (const [framework, kind] of SERVERS) {
    describe(`${framework}, ${packages?.servers[kind].name}`, () => {
      const served = serve(framework, kind)

      it('belong to the agent that opened them, whatever its token', async () => {
        const session = await served.open(SEVEN)
        expect(await served.call(session, SEVEN)).toBe(200)
        // Another token of the same agent, for the same person.
        expect(await served.call(session, { ...SEVEN, scope: 'orders:read orders:refund' })).toBe(200)
        expect(served.ran()).toEqual(['read', 'read'])
        for (const claims of [EIGHT, SEVEN_FOR_ANOTHER]) {
          expect(await served.call(session, claims)).toBe('403 session_not_yours')
          expect(await served.listen(session, claims)).toBe('403 session_not_yours')
          expect(await served.end(session, claims)).toBe('403 session_not_yours')
        }
        expect(served.ran()).toEqual([])
        expect(await served.call(session, SEVEN)).toBe(200)
        expect(served.ran()).toEqual(['read'])
      })

      it('tell the agents of calls apart that come at once', async () => {
        const [seven, eight] = await Promise.all([served.open(SEVEN), served.open(EIGHT)])
        const agents = await Promise.all(
          Array.from({ length: 20 }, (_, at) => {
            return at % 2 === 0 ? served.agentOf(seven, SEVEN) : served.agentOf(eight, EIGHT)
          }),
        )
        expect(agents).toEqual(agents.map((_, at) => (at % 2 === 0 ? 'agent-7' : 'agent-8')))
        served.ran()
      })

      it('that are unknown are answered with 404, so that the client starts anew', async () => {
        expect(await served.call('00000000-0000-4000-8000-000000000000', SEVEN)).toBe(404)
        expect(served.ran()).toEqual([])
      })

      it('are gone once their owner has ended them', async () => {
        const session = await served.open(EIGHT)
        expect(await served.end(session, EIGHT)).toBe(200)
        expect(await served.call(session, EIGHT)).toBe(404)
        expect(await served.call(session, SEVEN)).not.toBe(200)
        expect(served.ran()).toEqual([])
      })

      it('have a stream that ends when its token is revoked', async () => {
        const session = await served.open(SEVEN)
        const stream = await served.stream(session, { ...SEVEN, jti: 'revoked-later' })
        expect(stream.status).toBe(200)
        served.revoke('revoked-later')
        expect(await endOf(stream)).toBe('ended')
      })

      it('have a stream that ends when its token expires', async () => {
        let stream: Response | undefined
        // On a busy machine, a token of one second can expire before its stream is open.
        for (const lifetime of [1, 4, 12]) {
          const session = await served.open(SEVEN)
          const seconds = Math.floor(Date.now() / 1000)
          stream = await served.stream(session, { ...SEVEN, iat: seconds - 10, exp: seconds + lifetime })
          if (stream.status === 200) break
          await stream.text()
        }
        expect(stream?.status).toBe(200)
        expect(await endOf(stream)).toBe('ended')
      })
    })
  }
})

describe.skipIf(packages === undefined)(`streams of 2026-07-28${needs('mcp')}`, () => {
  for (const framework of ['Express', 'Koa', 'Hono'] as const)
    it(`${framework}: a subscription ends with an error once its token is revoked`, async () => {
      const served = servers[framework]
      const stream = await served.subscribe({ ...SEVEN, jti: 'revoked-later' })
      expect(stream.status).toBe(200)
      const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader()
      // The server has acknowledged: the stream is open.
      expect((await reader?.read())?.value).toContain('notifications/subscriptions/acknowledged')
      served.revoke('revoked-later')
      let rest = ''
      for (let part = await reader?.read(); part?.done === false; part = await reader?.read())
        rest += part.value
      expect(rest).toContain('"id":3,"error":{"code":-32000')
      expect(rest).toContain('token_revoked')
    })

  const servers = {
    Express: serve('Express', 'modern'),
    Koa: serve('Koa', 'modern'),
    Hono: serve('Hono', 'modern'),
  }
})

/** Reads a stream to its end. */
async function endOf(response: Response | undefined): Promise<'ended' | 'open' | undefined> {
  const ended = response?.text().then(
    () => 'ended' as const,
    () => 'ended' as const,
  )
  const open = new Promise<'open'>((resolve) => setTimeout(resolve, 20_000, 'open').unref())
  return Promise.race([ended, open])
}

/** A server for the tests of one `describe`. */
function serve(framework: McpFramework, kind: keyof McpPackages['servers']) {
  const http = createServer()
  const revocations = memoryRevocations()
  let backend: McpBackend | undefined
  let seen = 0
  let calls = 0

  beforeAll(async () => {
    if (packages === undefined) return
    backend = packages.servers[kind].start()
    const policy = createVerifier(
      {
        issuer: { url: ISSUER, jwks: issuerJwks() },
        audience: AUDIENCE,
        token: { clockTolerance: 0 },
        routes: { '* /mcp': 'authenticated' },
      },
      { revocations },
    )
    const spec = {
      policy,
      rules: { tools: { read: {} }, methods: { 'subscriptions/listen': 'authenticated' } } as const,
      backend,
    }
    http.on('request', mcpApp(framework, spec, packages.apps, packages.servers[kind].sdk))
    await once(http.listen(0, '127.0.0.1'), 'listening')
  })
  afterAll(async () => {
    http.close()
    http.closeAllConnections()
    await backend?.close()
  })

  function exchange(
    method: string,
    claims: Claims,
    session?: string,
    message?: object,
    fields: Record<string, string> = {},
  ): Promise<Response> {
    const { headers } = createKit(Date.now()).call({ method, path: '/mcp', token: { claims } })
    return fetch(`http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`, {
      method,
      headers: {
        accept: method === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream',
        'mcp-protocol-version': '2025-11-25',
        ...(session !== undefined && { 'mcp-session-id': session }),
        ...(message !== undefined && { 'content-type': 'application/json' }),
        ...fields,
        ...Object.fromEntries(headers),
      },
      ...(message !== undefined && { body: JSON.stringify({ jsonrpc: '2.0', ...message }) }),
    })
  }

  function call(session: string, claims: Claims): Promise<Response> {
    const params = { name: 'read', arguments: { order: '7' } }
    calls += 1
    return exchange('POST', claims, session, { id: 100 + calls, method: 'tools/call', params })
  }

  /** The status, with our code for a denial. */
  async function outcomeOf(response: Response): Promise<number | string> {
    const [json = '{}'] = /^\{.*/.exec(await response.text()) ?? []
    const { code } = JSON.parse(json)
    return code === undefined ? response.status : `${response.status} ${code}`
  }

  return {
    async open(claims: Claims): Promise<string> {
      const params = {
        protocolVersion: '2025-11-25',
        capabilities: {},
        clientInfo: { name: 't', version: '1' },
      }
      const response = await exchange('POST', claims, undefined, { id: 1, method: 'initialize', params })
      await response.text()
      return response.headers.get('mcp-session-id') ?? ''
    },
    call: async (session: string, claims: Claims) => outcomeOf(await call(session, claims)),
    /** The agent that the handler of the SDK has seen. */
    async agentOf(session: string, claims: Claims): Promise<string | undefined> {
      const [, seen = 'null'] =
        /"text":("(?:[^"\\]|\\.)*")/.exec(await (await call(session, claims)).text()) ?? []
      const { auth }: Seen = JSON.parse(JSON.parse(seen))
      return auth?.agent
    },
    listen: async (session: string, claims: Claims) => outcomeOf(await exchange('GET', claims, session)),
    end: async (session: string, claims: Claims) => outcomeOf(await exchange('DELETE', claims, session)),
    stream: (session: string, claims: Claims) => exchange('GET', claims, session),
    subscribe(claims: Claims) {
      const _meta = {
        'io.modelcontextprotocol/protocolVersion': '2026-07-28',
        'io.modelcontextprotocol/clientCapabilities': {},
      }
      const params = { _meta, notifications: { toolsListChanged: true } }
      const fields = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'subscriptions/listen' }
      return exchange('POST', claims, undefined, { id: 3, method: 'subscriptions/listen', params }, fields)
    },
    revoke: (id: string) => revocations.revoke(`token:${ISSUER} ${id}`, Math.floor(Date.now() / 1000) + 600),
    /** Names of the tools that ran since the last time. */
    ran(): readonly string[] {
      const names = backend?.ran.slice(seen) ?? []
      seen += names.length
      return names
    },
  }
}
