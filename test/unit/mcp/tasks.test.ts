import { describe, expect, it } from 'vitest'
import { bindSessions } from '../../../src/mcp/index.js'
import { mcpApps } from '../../support/mcp/apps.js'
import { createFakeServer, events, startFake, toEvent, verdictOf } from '../../support/mcp/fake-server.js'

const RELATED = 'io.modelcontextprotocol/related-task'

const create = (as: string, stream = false) => ({ method: 'tools/call', params: { task: {}, as }, stream })
const get = (taskId: unknown, method = 'tasks/get') => ({ method, params: { taskId } })

describe.each(Object.keys(mcpApps))('tasks on %s', (app) => {
  it.each([false, true])('are for their owner, where the response is a stream: %s', async (stream) => {
    const { call, server } = await startFake(app, [bindSessions()])
    expect(await (await call('a', { body: create('t1', stream) })).text()).toContain('"taskId":"t1"')
    server.reached.length = 0
    for (const method of ['tasks/get', 'tasks/result', 'tasks/cancel', 'tasks/update']) {
      expect(await verdictOf(call('a', { body: get('t1', method) }))).toBe('200')
      expect(await verdictOf(call('b', { body: get('t1', method) }))).toBe('403 session_not_yours')
    }
    expect(server.reached).toHaveLength(4)
    expect(await verdictOf(call('a', { body: get('t2') }))).toBe('404 -32602')
  })

  it('are refused where a stream or an answer names one of another owner', async () => {
    const { call } = await startFake(app, [bindSessions()])
    await (await call('a', { body: create('t1') })).text()
    expect(await verdictOf(call('b', { body: create('t1') }))).toBe('403 session_not_yours')
    const stream = await call('b', { body: create('t1', true) })
    expect([stream.status, await stream.text()]).toEqual([200, expect.not.stringContaining('t1')])
    expect(await verdictOf(call('b', { body: { method: 'tasks/list', params: { as: 't1' } } }))).toBe(
      '403 session_not_yours',
    )
    expect(await verdictOf(call('a', { body: { method: 'tasks/list', params: { as: 't1' } } }))).toBe('200')
    expect(await verdictOf(call('a', { body: get('t1') }))).toBe('200')
  })
})

describe.each(Object.keys(mcpApps))('compressed tasks on %s', (app) => {
  it('are refused, because they may be those of other owners', async () => {
    const encoded = { 'content-type': 'application/json', 'content-encoding': 'GZIP' }
    const server = createFakeServer(() => ({ headers: encoded, body: 'tasks of every owner' }))
    const { call } = await startFake(app, [bindSessions()], { server })
    expect(await verdictOf(call('b', { body: { method: 'tasks/list' } }))).toBe('503 internal_error')
    expect((await call('b', { method: 'HEAD' })).status).toBe(200)
  })
})

describe('a task', () => {
  it('is not bound by being read or listed', async () => {
    const { call } = await startFake('Express 5', [bindSessions()])
    expect(await verdictOf(call('b', { body: { method: 'tasks/list', params: { as: 't1' } } }))).toBe(
      '403 session_not_yours',
    )
    expect(await verdictOf(call('b', { body: get('t1') }))).toBe('404 -32602')
  })

  it('of another id than the requested one is not handed out', async () => {
    const server = createFakeServer(({ body }) => {
      if ((body as { method: string }).method !== 'tasks/get') return undefined
      const message = { jsonrpc: '2.0', id: 1, result: { taskId: 't9', status: 'working' } }
      return { headers: { 'content-type': 'application/json; charset=utf-8' }, body: JSON.stringify(message) }
    })
    const { call } = await startFake('Express 5', [bindSessions()], { server })
    await (await call('a', { body: create('t1') })).text()
    expect(await verdictOf(call('a', { body: get('t1') }))).toBe('403 session_not_yours')
    expect(await verdictOf(call('a', { body: get('t9') }))).toBe('404 -32602')
  })

  it('is no session, and a session is no task', async () => {
    const { call, begin } = await startFake('Express 5', [bindSessions()])
    await (await call('a', { body: create('t1') })).text()
    const session = await begin('a')
    expect(await verdictOf(call('a', { session: 't1', body: { method: 'ping' } }))).toBe('404 -32001')
    expect(await verdictOf(call('a', { session: 'task t1', body: { method: 'ping' } }))).toBe('400 -32600')
    expect(await verdictOf(call('a', { body: get(session) }))).toBe('404 -32602')
  })

  it.each([
    [
      'in a batch',
      [
        { jsonrpc: '2.0', id: 1, method: 'ping' },
        { jsonrpc: '2.0', id: 2, ...get('t1') },
      ],
    ],
    [
      'beside an own one',
      [
        { id: 1, ...get('t2') },
        { id: 2, ...get('t1') },
      ],
    ],
    [
      'as what a request is related to',
      { id: 1, method: 'ping', params: { _meta: { [RELATED]: { taskId: 't1' } } } },
    ],
    ['in a notification', { ...get('t1', 'tasks/cancel') }],
  ])('of another owner is found %s', async (_, body) => {
    const { issuer, origin, call, server } = await startFake('Express 5', [bindSessions()])
    await (await call('a', { body: create('t1') })).text()
    await (await call('b', { body: create('t2') })).text()
    server.reached.length = 0
    const send = (agent: string) =>
      fetch(`${origin}/mcp`, {
        method: 'POST',
        headers: {
          ...issuer.headers({ agent, method: 'POST', url: '/mcp' }),
          'content-type': 'application/json',
        },
        body: JSON.stringify(body),
      })
    expect(await verdictOf(send('b'))).toBe('403 session_not_yours')
    expect(server.reached).toEqual([])
  })

  it.each([[['t1']], [17], [{}], [null]])('with the id %j is unknown', async (taskId) => {
    const { call } = await startFake('Express 5', [bindSessions()])
    await (await call('a', { body: create('t1') })).text()
    expect(await verdictOf(call('b', { body: get(taskId) }))).toBe('404 -32602')
  })

  it.each(['\n\n', '\r\n\r\n', '\r\r'])(
    'is found in an event of several lines that ends with %j, byte by byte',
    async (end) => {
      const lines = JSON.stringify(
        { jsonrpc: '2.0', id: 1, result: { task: { taskId: 'tü1' } } },
        undefined,
        1,
      )
      const event = `: comment\nid: 7\n${lines
        .split('\n')
        .map((line) => `data:${line}`)
        .join(end.slice(0, end.length / 2))}${end}`
      const server = createFakeServer(({ body }) => {
        if ((body as { method: string }).method !== 'tools/call') return undefined
        const parts = async function* () {
          yield toEvent({ jsonrpc: '2.0', method: 'notifications/progress' })
          yield* event
        }
        return { headers: events, stream: parts() }
      })
      const { call } = await startFake('Express 5', [bindSessions()], { server })
      expect(await (await call('a', { body: create('') })).text()).toContain('taskId')
      expect(await verdictOf(call('a', { body: get('tü1') }))).toBe('200')
      expect(await verdictOf(call('b', { body: get('tü1') }))).toBe('403 session_not_yours')
    },
  )
})
