import type { RequestListener } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { protectMcp } from '../../../middleware/express.js'
import { createVerifier, memoryRevocations } from '../../../src/index.js'
import type { McpRules } from '../../../src/mcp/index.js'
import { createTestIssuer } from '../../../src/testing/index.js'
import { needs } from '../../support/installed.js'
import { listen } from '../../support/listen.js'
import type { McpBackend, McpPackages } from '../../support/mcp/contract.js'
import { loadMcpPackages } from '../../support/mcp/packages.js'

// State that outlasts a request to a server of the MCP SDKs: sessions, streams, resumed streams, tasks.

const packages = await loadMcpPackages()

const RULES: McpRules = {
  tools: { wait: {}, job: {} },
  methods: {
    'tasks/get': 'authenticated',
    'tasks/result': 'authenticated',
    'tasks/cancel': 'authenticated',
    'subscriptions/listen': 'authenticated',
  },
}

interface Message {
  readonly id?: number
  readonly method?: string
  readonly params?: { readonly data?: string }
  readonly result?: {
    readonly task?: { readonly taskId: string }
    readonly taskId?: string
    readonly tasks?: unknown
  }
  readonly error?: { readonly code: number; readonly data?: { readonly code?: string } }
  /** Of a denial. */
  readonly code?: string
}

/** The messages of a body, with the ids of their events. */
function messagesIn(text: string): readonly { eventId: string | undefined; message: Message }[] {
  if (text.startsWith('{')) return [{ eventId: undefined, message: JSON.parse(text) }]
  return text.split('\n\n').flatMap((event) => {
    const data = /^data: (.+)$/m.exec(event)?.[1]
    const eventId = /^id: (.+)$/m.exec(event)?.[1]
    return data === undefined ? [] : [{ eventId, message: JSON.parse(data) }]
  })
}

async function start(open: (all: McpPackages) => McpBackend, sdk: 1 | 2 = 1) {
  if (packages === undefined) throw new Error('the packages of test/mcp are not installed')
  const revocations = memoryRevocations()
  const issuer = createTestIssuer()
  const verifier = createVerifier(
    {
      issuer: issuer.policyIssuer,
      audience: issuer.audience,
      token: { clockTolerance: 0 },
      routes: { '* /mcp': 'authenticated' },
    },
    { revocations },
  )
  const app = sdk === 1 ? packages.apps.express1() : packages.apps.express2()
  const backend = open(packages)
  app.use(protectMcp(verifier, RULES))
  const node: RequestListener = (request, response) => void backend.node(request, response)
  app.all('/mcp', (request, response) => node(request, response))
  const { origin, close } = await listen(app)
  onTestFinished(async () => {
    await backend.close()
    close()
  })

  function send(
    as: string | { agent: string; claims?: Record<string, unknown> },
    body: object | undefined,
    headers: Record<string, string> = {},
    method = body === undefined ? 'GET' : 'POST',
  ): Promise<Response> {
    const caller = typeof as === 'string' ? { agent: as } : as
    return fetch(`${origin}/mcp`, {
      method,
      headers: {
        ...issuer.headers({ ...caller, method, url: '/mcp' }),
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...body }) }),
    })
  }

  return {
    backend,
    issuer,
    send,
    revoke: (agent: string) => revocations.revoke(`agent:${issuer.issuer} ${agent}`, Date.now() / 1000 + 600),
    async begin(agent: string): Promise<Record<string, string>> {
      const clientInfo = { name: 'tests', version: '1.0.0' }
      const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo }
      const response = await send(agent, { method: 'initialize', params })
      await response.text()
      const session = response.headers.get('mcp-session-id')
      return {
        ...(session === null ? {} : { 'mcp-session-id': session }),
        'mcp-protocol-version': '2025-11-25',
      }
    },
    async ask(...request: Parameters<typeof send>): Promise<[number, Message]> {
      const response = await send(...request)
      return [response.status, messagesIn(await response.text()).at(-1)?.message ?? {}]
    },
  }
}

const callWait = { method: 'tools/call', params: { name: 'wait', arguments: {} } }

describe.skipIf(packages === undefined)(`SDK 1 with sessions${needs('mcp')}`, () => {
  it('ends the streams of a POST and of a GET when the token is revoked', async () => {
    const { send, begin, revoke, ask } = await start((all) => all.startResumable())
    const [a, b] = [await begin('a'), await begin('b')]
    const [get, post, other] = [
      await send('a', undefined, a),
      await send('a', callWait, a),
      await send('b', undefined, b),
    ]
    expect([get.status, post.status, other.status]).toEqual([200, 200, 200])
    setTimeout(() => revoke('a'), 50)
    const messages = messagesIn(await post.text())
    expect(messages.at(-1)?.message).toMatchObject({ id: 1, error: { data: { code: 'token_revoked' } } })
    expect(await get.text()).not.toContain('"error"')
    // Its resumption is a request like any other.
    const last = { ...a, 'last-event-id': messages[0]?.eventId ?? '' }
    expect((await ask('a', undefined, last))[0]).toBe(401)
    expect((await ask('b', { method: 'ping' }, b))[0]).toBe(200)
    await other.body?.cancel()
  })

  it('ends the stream of a long tool call when the token expires, and resumes it with a new token', {
    // A busy machine can be late once.
    retry: 2,
  }, async () => {
    const { send, begin } = await start((all) => all.startResumable())
    const a = await begin('a')
    const short = { agent: 'a', claims: { exp: Math.floor(Date.now() / 1000) + 2 } }
    const since = performance.now()
    const get = await send('a', undefined, a)
    const text = await (await send(short, callWait, a)).text()
    expect(performance.now() - since).toBeLessThan(10_000)
    expect(messagesIn(text).at(-1)?.message.error?.data?.code).toBe('token_expired')
    const resumed = await send('a', undefined, {
      ...a,
      'last-event-id': messagesIn(text)[0]?.eventId ?? /^id: (.+)$/m.exec(text)?.[1] ?? '',
    })
    expect([resumed.status, resumed.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
    await Promise.all([resumed.body?.cancel(), get.body?.cancel()])
  })

  it('gives events to no other caller, with a session of its own or with a stolen one', async () => {
    const { send, begin, ask } = await start((all) => all.startResumable())
    const [a, b] = [await begin('a'), await begin('b')]
    const get = await send('a', undefined, a)
    const post = await send('a', callWait, a)
    const reader = get.body?.getReader()
    let text = ''
    while (!text.includes('for the owner alone'))
      text += new TextDecoder().decode((await reader?.read())?.value)
    const eventId = /^id: (.+)$/m.exec(text)?.[1] ?? ''
    await reader?.cancel()
    expect(eventId).not.toBe('')
    const [status, message] = await ask('b', undefined, { ...a, 'last-event-id': eventId })
    expect([status, message.code]).toEqual([403, 'session_not_yours'])
    const own = await send('b', undefined, { ...b, 'last-event-id': eventId })
    // The event store of its session does not know the id: a stream without an event.
    const events = own.body?.getReader()
    const first = await Promise.race([events?.read(), wait(200, 'nothing')])
    expect([own.status, first]).toEqual([200, 'nothing'])
    await events?.cancel()
    await post.body?.cancel()
  })

  it('ends a session with the DELETE of its owner, and with no other', async () => {
    const { begin, ask } = await start((all) => all.startResumable())
    const a = await begin('a')
    expect((await ask('b', undefined, a, 'DELETE'))[0]).toBe(403)
    expect((await ask('a', { method: 'ping' }, a))[0]).toBe(200)
    expect((await ask('a', undefined, a, 'DELETE'))[0]).toBe(200)
    expect(await ask('a', { method: 'ping' }, a)).toEqual([404, expect.objectContaining({ id: null })])
  })
})

describe.skipIf(packages === undefined)(`SDK 1 without sessions${needs('mcp')}`, () => {
  it('gives a task to the caller that made it', async () => {
    const { begin, ask } = await start((all) => all.startTasks())
    const headers = await begin('a')
    const job = { method: 'tools/call', params: { name: 'job', arguments: {}, task: { ttl: 60_000 } } }
    const [, made] = await ask('a', job, headers)
    const taskId = made.result?.task?.taskId ?? ''
    expect(taskId).not.toBe('')
    const get = { method: 'tasks/get', params: { taskId } }
    expect(await ask('a', get, headers)).toMatchObject([200, { result: { taskId } }])
    for (const method of ['tasks/get', 'tasks/result', 'tasks/cancel'])
      expect(await ask('b', { ...get, method }, headers)).toMatchObject([403, { code: 'session_not_yours' }])
    expect(await ask('a', get, headers)).toMatchObject([200, { result: { taskId } }])
    expect((await ask('b', { method: 'tasks/get', params: { taskId: 'unknown' } }, headers))[0]).toBe(404)
  })
})

describe.skipIf(packages === undefined)(`SDK 2 in the era without sessions${needs('mcp')}`, () => {
  const modern = (method: string, name?: string, params: object = {}) => ({
    body: {
      method,
      params: {
        ...params,
        ...(name === undefined ? {} : { name, arguments: {} }),
        _meta: {
          'io.modelcontextprotocol/protocolVersion': '2026-07-28',
          'io.modelcontextprotocol/clientInfo': { name: 'tests', version: '1.0.0' },
          'io.modelcontextprotocol/clientCapabilities': {},
        },
      },
    },
    headers: {
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(name === undefined ? {} : { 'mcp-name': name }),
    },
  })

  it('ends a tool call when the token is revoked, and the tool learns of it', async () => {
    if (packages === undefined) return
    const lasting = packages.startModernLasting()
    const { send, revoke } = await start(() => lasting, 2)
    const { body, headers } = modern('tools/call', 'wait')
    const response = await send('a', body, headers)
    expect([response.status, lasting.waiting()]).toEqual([200, 1])
    setTimeout(() => revoke('a'), 50)
    expect(messagesIn(await response.text()).at(-1)?.message.error?.data?.code).toBe('token_revoked')
    while (lasting.waiting() > 0) await wait(5)
  })

  it('ends a subscription when the token is revoked', async () => {
    const { send, revoke } = await start((all) => all.startModernLasting(), 2)
    const { body, headers } = modern('subscriptions/listen', undefined, {
      notifications: { toolsListChanged: true },
    })
    const response = await send('a', body, headers)
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
    setTimeout(() => revoke('a'), 50)
    expect(messagesIn(await response.text()).at(-1)?.message.error?.data?.code).toBe('token_revoked')
  })
})
