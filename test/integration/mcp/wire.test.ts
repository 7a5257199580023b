import { once } from 'node:events'
import { createServer, request as send } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AUDIENCE, createKit, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import type { McpRules } from '../../../src/mcp/index.js'
import { needs } from '../../support/installed.js'
import type { McpBackend, McpPackages } from '../../support/mcp/contract.js'
import { loadMcpPackages } from '../../support/mcp/packages.js'
import { type McpFramework, mcpApp } from '../../support/mcp/sdk-apps.js'

// Messages that a server could read otherwise than the middleware, as bytes. No handler of an SDK may run.

const packages = await loadMcpPackages()

const SERVERS: readonly (readonly [McpFramework, keyof McpPackages['servers']])[] = [
  ['Express', 'sdk1'],
  ['Koa', 'sdk1'],
  ['Hono', 'sdk1'],
  ['Express', 'sdk2'],
  ['Hono', 'sdk2'],
  ['Express', 'modern'],
  ['Koa', 'modern'],
  ['Hono', 'modern'],
  ['Fastify', 'modern'],
  ['node:http', 'modern'],
]

const RULES: McpRules = {
  tools: {
    read: {},
    refund: { arguments: { '/amount': { equals: 17 } } },
    admin: { agents: ['nobody'] },
  },
}

interface Wire {
  readonly method?: string
  readonly path?: string
  readonly body?: string | Uint8Array
  readonly fields?: Readonly<Record<string, string>>
}

/** `method` and `params`, as JSON text. */
const message = (method: string, params: unknown, id: unknown = 1) =>
  JSON.stringify({ jsonrpc: '2.0', id, method, params })
const call = (name: unknown, args: unknown = {}, more: object = {}) =>
  message('tools/call', { name, arguments: args, ...more })
const read = { order: '7' }

/** By us, or by the parser of the framework. A server may also cut off a long body. */
const MALFORMED = /^(4\d\d (-32600|-32700|-32000|message_malformed|FST_ERR_\w+|-)|reset)$/
const IN_BAND = /^200 refused$/
const UNKNOWN_TOOL = /^200 -32602$/
/** HTTP 404 since 2026-07-28. */
const UNKNOWN_METHOD = /^(200|404) -32601$/
const MISMATCH = /^400 -32020$/

/** A request, and how it is answered. */
const refused: readonly (readonly [title: string, expected: RegExp, wire: Wire])[] = [
  ['a batch of allowed calls', /^400 -32600$/, { body: `[${call('read', read)},${call('read', read)}]` }],
  ['a batch of one allowed call', /^400 -32600$/, { body: `[${call('read', read)}]` }],
  ['an empty batch', /^400 -32600$/, { body: '[]' }],
  ['no body', MALFORMED, { body: '' }],
  ['text that is no JSON', MALFORMED, { body: '{' }],
  ['two messages, one after the other', MALFORMED, { body: call('read', read) + call('admin') }],
  [
    'a forbidden tool as another content type',
    /^(200 refused|4\d\d .*)$/,
    { body: call('admin'), fields: { 'content-type': 'text/plain' } },
  ],
  [
    'a longer body than the parser takes',
    MALFORMED,
    { body: call('read', { order: 'x'.repeat(5_000_000) }) },
  ],
  ['an id that is null', MALFORMED, { body: message('tools/call', { name: 'read', arguments: read }, null) }],
  [
    'a call as a notification',
    MALFORMED,
    { body: '{"jsonrpc":"2.0","method":"tools/call","params":{"name":"read"}}' },
  ],
  ['no version of JSON-RPC', MALFORMED, { body: '{"id":1,"method":"tools/call","params":{"name":"read"}}' }],
  ['a method that is an array', MALFORMED, { body: '{"jsonrpc":"2.0","id":1,"method":["tools/call"]}' }],
  [
    'params that are an array',
    MALFORMED,
    { body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["read"]}' },
  ],
  ['a forbidden tool', IN_BAND, { body: call('admin') }],
  ['a forbidden tool behind a byte order mark', /^(200 refused|400 .*)$/, { body: `\ufeff${call('admin')}` }],
  [
    'a forbidden tool, compressed',
    /^(200 refused|4\d\d .*)$/,
    { body: gzipSync(call('admin')), fields: { 'content-encoding': 'gzip' } },
  ],
  ['a forbidden tool with a query', IN_BAND, { body: call('admin'), path: '/mcp?tool=read' }],
  [
    'a forbidden tool with rights in _meta',
    IN_BAND,
    { body: call('admin', {}, { _meta: { agent: 'nobody', scope: '*' } }) },
  ],
  [
    'a forbidden tool as the later of two names',
    /^(200 refused|400 .*)$/,
    { body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","name":"admin"}}' },
  ],
  [
    'a forbidden tool as the later of two params',
    /^(200 refused|400 .*)$/,
    {
      body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read"},"params":{"name":"admin"}}',
    },
  ],
  [
    'a forbidden tool with an escape in its name',
    IN_BAND,
    { body: call('admin').replace('admin', '\\u0061dmin') },
  ],
  ['an argument as a string', IN_BAND, { body: call('refund', { order: '7', amount: '17' }) }],
  ['an argument in an array', IN_BAND, { body: call('refund', { order: '7', amount: [17] }) }],
  ['a missing argument whose default would act', IN_BAND, { body: call('refund', { order: '7' }) }],
  ['an argument that is null', IN_BAND, { body: call('refund', { order: '7', amount: null }) }],
  [
    'an argument by inheritance',
    /^(200 refused|400 .*)$/,
    {
      body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"refund","arguments":{"order":"7","__proto__":{"amount":17}}}}',
    },
  ],
  ['arguments that are an array', /^(200|400) -32602$/, { body: call('read', [read]) }],
  ...[
    'unnamed',
    'Read',
    'READ',
    'read ',
    ' read',
    'read\u0000',
    '',
    'constructor',
    '__proto__',
    'toString',
    'rеad',
  ].map((name) => [`the tool ${JSON.stringify(name)}`, UNKNOWN_TOOL, { body: call(name) }] as const),
  ['a tool whose name is an array', UNKNOWN_TOOL, { body: call(['read']) }],
  ['Mcp-Name of another tool', MISMATCH, { body: call('admin'), fields: { 'mcp-name': 'read' } }],
  ['Mcp-Name of a forbidden tool', MISMATCH, { body: call('read', read), fields: { 'mcp-name': 'admin' } }],
  [
    'Mcp-Name in Base64 of another tool',
    MISMATCH,
    { body: call('admin'), fields: { 'mcp-name': '=?base64?cmVhZA==?=' } },
  ],
  [
    'Mcp-Method of another method',
    MISMATCH,
    { body: call('read', read), fields: { 'mcp-method': 'tools/list' } },
  ],
  ...['tasks/get', 'tools/Call', 'tools/call/', 'sampling/createMessage', 'rpc.discover', 'constructor'].map(
    (method) => [`the method ${method}`, UNKNOWN_METHOD, { body: message(method, {}) }] as const,
  ),
  ['a prompt', UNKNOWN_METHOD, { body: message('prompts/get', { name: 'read' }) }],
  ['a resource', UNKNOWN_METHOD, { body: message('resources/read', { uri: 'test://read' }) }],
  [
    'a completion',
    /^(200|404) (-32601|-32602)$/,
    {
      body: message('completion/complete', {
        ref: { type: 'ref/prompt', name: 'read' },
        argument: { name: 'a', value: 'b' },
      }),
    },
  ],
]

describe.skipIf(packages === undefined)(`messages on the wire${needs('mcp')}`, () => {
  for (const [framework, kind] of SERVERS) {
    describe(`${framework}, ${packages?.servers[kind].name}`, () => {
      const served = serve(framework, kind)

      it('an honest call runs', async () => {
        expect(await served.ask({ body: call('read', read) })).toBe('200 -')
        expect(await served.ask({ body: call('refund', { ...read, amount: 17 }) })).toBe('200 -')
        expect(
          await served.ask({ body: call('read', read), fields: { 'mcp-name': '=?base64?cmVhZA==?=' } }),
        ).toBe('200 -')
        expect(served.ran()).toEqual(['read', 'refund', 'read'])
      })

      it.each(refused)('%s', async (_, expected, wire) => {
        expect(await served.ask(wire)).toMatch(expected)
        expect(served.ran()).toEqual([])
      })

      it.each(['/mcp/', '/MCP', '//mcp', '/mcp/.', '/%6dcp'])('a forbidden tool at %s', async (path) => {
        expect(await served.ask({ path, body: call('admin') })).not.toBe('200 -')
        expect(served.ran()).toEqual([])
      })

      it.each(['GET', 'DELETE'])('%s without a session is the business of the server', async (method) => {
        const [status] = (await served.ask({ method, fields: { 'mcp-session-id': '' } })).split(' ')
        // 405 tells clients that there are no sessions.
        if (kind === 'modern') expect(status).toBe('405')
        else expect(status).toMatch(/^4/)
      })
    })
  }
})

/** A server for the tests of one `describe`. */
function serve(framework: McpFramework, kind: keyof McpPackages['servers']) {
  const http = createServer()
  let backend: McpBackend | undefined
  let session: Record<string, string> = {}
  let seen = 0

  beforeAll(async () => {
    if (packages === undefined) return
    const server = packages.servers[kind]
    backend = server.start()
    const policy = {
      issuer: { url: ISSUER, jwks: issuerJwks() },
      audience: AUDIENCE,
      routes: { '* /mcp': 'authenticated' },
    } as const
    http.on('request', mcpApp(framework, { policy, rules: RULES, backend }, packages.apps, server.sdk))
    await once(http.listen(0, '127.0.0.1'), 'listening')
    if (server.era === 'sessions') session = await initialize()
  })
  afterAll(async () => {
    http.close()
    http.closeAllConnections()
    await backend?.close()
  })

  async function initialize(): Promise<Record<string, string>> {
    const params = {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'tests', version: '1' },
    }
    const { headers } = await exchange({ body: message('initialize', params) })
    return { 'mcp-session-id': String(headers['mcp-session-id']) }
  }

  async function exchange({ method = 'POST', path = '/mcp', body = '', fields = {} }: Wire) {
    const { port } = http.address() as AddressInfo
    const credentials = createKit(Date.now()).call({ method, path }).headers
    const headers = {
      ...(method === 'POST' && { 'content-type': 'application/json' }),
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2025-11-25',
      ...session,
      ...fields,
      ...Object.fromEntries(credentials),
    }
    // Each request has its own connection: a server may reset it while it is sent a long body, also after
    // its response.
    const options = { port, host: '127.0.0.1', path, method, agent: false }
    const request = send({ ...options, headers: withoutEmpty(headers) }).on('error', () => {})
    for (const socket of await once(request, 'socket')) socket.on('error', () => {})
    const [response] = await once(request.end(body), 'response')
    return response
  }

  return {
    /** The status, and a JSON-RPC error, a refusal in a tool result, a code of ours, or `-`. */
    async ask(wire: Wire): Promise<string> {
      const response = await exchange(wire).catch(() => undefined)
      if (response === undefined) return 'reset'
      const isStream = wire.method === 'GET' && response.statusCode === 200
      if (isStream) response.destroy()
      const content = isStream ? '' : await text(response)
      const json = content.startsWith('{') ? JSON.parse(content) : {}
      const isRefused = json.result?.isError === true && json.result._meta?.['ajwt/code'] !== undefined
      return `${response.statusCode} ${json.error?.code ?? json.code ?? (isRefused ? 'refused' : '-')}`
    },
    /** Names of the tools that ran since the last time. */
    ran(): readonly string[] {
      const names = backend?.ran.slice(seen) ?? []
      seen += names.length
      return names
    },
  }
}

function withoutEmpty(fields: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ''))
}
