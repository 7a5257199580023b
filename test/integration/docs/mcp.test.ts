import type { RequestListener } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createVerifier } from '../../../src/index.js'
import { type McpPolicy, type McpRules, mcpAuthInfo } from '../../../src/mcp/index.js'
import { parseMcpRules } from '../../../src/mcp/rules.js'
import { createTestIssuer } from '../../../src/testing/index.js'
import { closeAll, serve } from '../../support/docs/issuer.js'
import { blocksOf } from '../../support/docs/markdown.js'
import { createBlockRunner } from '../../support/docs/run.js'
import { isInstalled, needs } from '../../support/installed.js'

// The servers of docs/mcp.md, beside the packages of test/mcp that they need.

const RESOURCE = 'https://notes.example.com/mcp'
const ISSUER = 'https://as.example.com'
const issuer = createTestIssuer({ issuer: ISSUER, audience: RESOURCE })
const realFetch = globalThis.fetch

/** The issuer of the document publishes its keys. */
function stubIssuer(): void {
  const documents: Record<string, unknown> = {
    [`${ISSUER}/.well-known/oauth-authorization-server`]: { issuer: ISSUER, jwks_uri: `${ISSUER}/jwks` },
    [`${ISSUER}/jwks`]: Reflect.get(Object(issuer.policyIssuer), 'jwks'),
  }
  vi.stubGlobal('fetch', async (input: string | URL | Request, init?: RequestInit) => {
    const document = documents[input instanceof Request ? input.url : String(input)]
    return document === undefined ? realFetch(input, init) : Response.json(document)
  })
}

const blocks = new Map(
  blocksOf('docs/mcp.md').flatMap((block) => {
    const name = /^file: (.+)\.ts$/.exec(block.directive ?? '')?.[1]
    return name === undefined ? [] : [[name, block] as const]
  }),
)

/** The names of the two arguments in the text. */
const both = `const policy = { issuer: 'https://as.example.com', audience: 'https://notes.example.com/mcp' }
const rules = { tools: { 'add-note': { scope: 'notes:write' } } }`

/** Everything that a block leaves to the text around it. */
const before: Readonly<Record<string, string>> = {
  hono: both,
  list: both,
  sessions: both,
  parts: both,
  store: `import express from 'express'\nconst app = express()\n${both}`,
}

interface Reply {
  readonly status: number
  readonly session: string | null
  readonly body: { readonly code?: string; readonly result?: unknown; readonly error?: unknown }
}

function callOf(origin: string) {
  return async (
    agent: string | undefined,
    body?: object,
    over: { method?: string; session?: string } = {},
  ) => {
    const { method = 'POST', session } = over
    const credentials =
      agent === undefined ? {} : issuer.headers({ agent, method, url: '/mcp', scope: 'notes:write' })
    const response = await fetch(`${origin}/mcp`, {
      method,
      headers: {
        ...credentials,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...(session === undefined ? {} : { 'mcp-session-id': session }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...body }) }),
    })
    const text = await response.text()
    const json = /^data: (.+)$/m.exec(text)?.[1] ?? text
    const reply: Reply = {
      status: response.status,
      session: response.headers.get('mcp-session-id'),
      body: json.startsWith('{') ? JSON.parse(json) : {},
    }
    return reply
  }
}

const call = (name: string, text = 'x') => ({ method: 'tools/call', params: { name, arguments: { text } } })
const initialize = {
  method: 'initialize',
  params: {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'tests', version: '1.0.0' },
  },
}

/** The constants of the small files. */
function exported(code: string): string {
  const names = [...code.matchAll(/^const (policy|rules): Mcp/gm)].map(([, name]) => name)
  return `export { ${names.join(', ')} }`
}

describe.skipIf(!isInstalled('mcp'))(`docs/mcp.md${needs('mcp')}`, () => {
  const runner = isInstalled('mcp') ? createBlockRunner('test/mcp') : undefined
  afterAll(() => runner?.remove())
  beforeEach(stubIssuer)
  afterEach(() => {
    vi.unstubAllGlobals()
    closeAll()
  })

  async function run(name: string): Promise<Record<string, unknown>> {
    const block = blocks.get(name)
    if (block === undefined) throw new Error(`docs/mcp.md has no file ${name}.ts`)
    const code = block.code.replace('app.listen(3000)', 'export { app }')
    const own = before[name]
    const after =
      name === 'parts' ? 'export { app }' : name === 'list' ? 'export { handler }' : exported(code)
    const exports = await runner?.run(
      { ...block, code },
      { after, ...(own === undefined ? {} : { before: own }) },
    )
    return exports ?? {}
  }

  test('compiles', () => {
    const all = [...blocks].map(([name, block]) => [block, { before: before[name] ?? '' }] as const)
    expect(all.length).toBe(8)
    expect(runner?.typeCheck(all)).toEqual([])
  }, 60_000)

  test('server.ts is the server of the SDK, for those who may call its tool', async () => {
    const { app } = await run('server')
    const origin = await serve(app as RequestListener)
    const ask = callOf(origin)
    expect((await ask(undefined, call('add-note'))).status).toBe(401)
    const commands = blocksOf('docs/mcp.md').flatMap(({ code }) => code.match(/^curl .+$/gm) ?? [])
    const answers = commands.map((command) => {
      const [, path = ''] = /http:\/\/localhost:3000(\S+)/.exec(command) ?? []
      const [, body] = / -d '(.+)'$/.exec(command) ?? []
      const headers = { 'content-type': 'application/json' }
      return fetch(origin + path, body === undefined ? {} : { method: 'POST', headers, body })
    })
    const [challenged, metadata] = await Promise.all(answers)
    expect([commands.length, challenged?.status, challenged?.headers.get('www-authenticate')]).toEqual([
      2,
      401,
      expect.stringContaining(
        'resource_metadata="https://notes.example.com/.well-known/oauth-protected-resource/mcp"',
      ),
    ])
    expect(await metadata?.json()).toMatchObject({
      resource: RESOURCE,
      authorization_servers: ['https://as.example.com'],
    })
    expect(await ask('agent-7', call('add-note', 'milk'))).toMatchObject({
      status: 200,
      body: { result: { content: [{ text: 'Saved by test-client: milk' }] } },
    })
    expect((await ask('agent-7', call('other'))).body.error).toMatchObject({ code: -32602 })
    // The server has no sessions.
    expect((await ask('agent-7', undefined, { method: 'GET' })).status).toBe(405)
    expect((await ask('agent-7', undefined, { method: 'DELETE' })).status).toBe(405)
    // The protection of the SDK, in front of it.
    const rebound = await fetch(`${origin}/mcp`, { headers: { origin: 'https://evil.example' } })
    expect(rebound.status).toBe(403)
  }, 30_000)

  test('hono.ts is the same on Hono', async () => {
    const { default: app } = await run('hono')
    const ask = callOf(await serve(getRequestListener((app as { fetch: never }).fetch)))
    expect((await ask(undefined, call('add-note'))).status).toBe(401)
    expect(await ask('agent-7', call('add-note'))).toMatchObject({
      status: 200,
      body: { result: { content: [] } },
    })
    expect((await ask('agent-7', call('other'))).body.error).toMatchObject({ code: -32602 })
  }, 30_000)

  test('sessions.ts gives a session to its owner alone', async () => {
    const { app } = await run('sessions')
    const ask = callOf(await serve(app as RequestListener))
    const session = (await ask('agent-7', initialize)).session ?? ''
    expect((await ask('agent-7', call('add-note'), { session })).body.result).toMatchObject({ content: [] })
    for (const method of ['POST', 'GET', 'DELETE']) {
      const stolen = await ask('agent-8', method === 'POST' ? call('add-note') : undefined, {
        method,
        session,
      })
      expect([method, stolen.status, stolen.body.code]).toEqual([method, 403, 'session_not_yours'])
    }
    expect((await ask('agent-7', undefined, { method: 'DELETE', session })).status).toBe(200)
    expect((await ask('agent-7', call('add-note'), { session })).status).toBe(404)
    expect((await ask('agent-8', initialize, { session: 'chosen' })).status).toBe(404)
  }, 30_000)

  test('list.ts lists the tools that the caller may use', async () => {
    const { handler } = (await run('list')) as {
      handler: { fetch(request: Request, options: object): Promise<Response> }
    }
    const verifier = createVerifier({
      issuer: issuer.policyIssuer,
      audience: RESOURCE,
      routes: { 'POST /mcp': {} },
    })
    const list = async (scope: string) => {
      const credentials = issuer.headers({ agent: 'agent-7', method: 'POST', url: '/mcp', scope })
      const decision = await verifier.verify({ method: 'POST', url: '/mcp', headers: credentials })
      if (decision.outcome !== 'allow') throw new Error(decision.outcome)
      const request = new Request(`${RESOURCE}/mcp`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }),
      })
      return (await handler.fetch(request, { authInfo: mcpAuthInfo(decision.grant) })).text()
    }
    expect(await list('notes:write')).toContain('"add-note"')
    expect(await list('notes:read')).not.toContain('add-note')
  }, 30_000)

  test('parts.ts does the same in parts', async () => {
    const { app } = await run('parts')
    const ask = callOf(await serve(app as RequestListener))
    expect((await ask(undefined, call('add-note'))).status).toBe(401)
    expect((await ask('agent-7', call('other'))).body.error).toMatchObject({ code: -32602 })
    // No handler is mounted.
    expect((await ask('agent-7', call('add-note'))).status).toBe(404)
  }, 30_000)

  test('the rules and policies of the other files are right', async () => {
    const { rules } = (await run('approval')) as { rules: McpRules }
    expect([...parseMcpRules(rules).tools.keys()]).toEqual(['read-order', 'refund-order'])
    const { policy } = (await run('bearer')) as { policy: McpPolicy }
    expect(policy.proof).toEqual({ required: false })
  }, 30_000)
})
