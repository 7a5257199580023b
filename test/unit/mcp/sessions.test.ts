import { request } from 'node:http'
import { describe, expect, it } from 'vitest'
import type { SessionStore } from '../../../src/mcp/index.js'
import { bindSessions, endWithToken } from '../../../src/mcp/index.js'
import { mcpApps } from '../../support/mcp/apps.js'
import { createFakeServer, startFake, verdictOf } from '../../support/mcp/fake-server.js'

const list = { method: 'tools/list' }

describe.each(Object.keys(mcpApps))('bindSessions on %s', (app) => {
  it('lets the owner use, listen on and delete its session', async () => {
    const { call, begin } = await startFake(app, [bindSessions()])
    const session = await begin('a')
    expect(session).toMatch(/^[\da-f-]{36}$/)
    expect(await verdictOf(call('a', { session, body: list }))).toBe('200')
    expect(await verdictOf(call('a', { session }))).toBe('200')
    expect(await verdictOf(call('a', { session, method: 'DELETE' }))).toBe('200')
    expect(await verdictOf(call('a', { session, body: list }))).toBe('404 -32001')
  })

  it.each(['POST', 'GET', 'HEAD', 'DELETE'])(
    'denies %s with the session of another agent',
    async (method) => {
      const { call, begin, server } = await startFake(app, [bindSessions()])
      const session = await begin('a')
      const response = await call('b', { session, method, ...(method === 'POST' ? { body: list } : {}) })
      expect([response.status, response.headers.has('mcp-session-id')]).toEqual([403, false])
      if (method !== 'HEAD')
        expect(await response.json()).toMatchObject({ code: 'session_not_yours', error: 'access_denied' })
      expect(server.reached).toEqual(['POST initialize'])
      expect(await verdictOf(call('a', { session, body: list }))).toBe('200')
    },
  )

  it('keeps the session of a refreshed token, and of nobody else', async () => {
    const { call, begin } = await startFake(app, [bindSessions()])
    const mine = { agent: 'a', intent: { workflow: 'w', initiatedBy: 'ann', initiatorType: 'user' } } as const
    const session = await begin(mine)
    expect(await verdictOf(call(mine, { session, body: list }))).toBe('200')
    expect(await verdictOf(call({ ...mine, scope: 'more' }, { session, body: list }))).toBe('200')
    const others = [
      { ...mine, intent: { ...mine.intent, initiatedBy: 'bob' } },
      { ...mine, agent: 'b' },
      { agent: 'a' },
    ]
    for (const other of others)
      expect(await verdictOf(call(other, { session, body: list }))).toBe('403 session_not_yours')
  })

  it('answers an unknown id with 404, also for initialize: no caller can choose an id', async () => {
    const { call, server } = await startFake(app, [bindSessions()])
    for (const body of [list, { method: 'initialize' }]) {
      const response = await call('b', { session: 'chosen', body })
      expect(response.status).toBe(404)
      expect(await response.json()).toEqual({
        jsonrpc: '2.0',
        error: { code: -32001, message: 'Session not found' },
        id: null,
      })
    }
    expect(await verdictOf(call('b', { session: 'chosen', method: 'DELETE' }))).toBe('404 -32001')
    expect(server.reached).toEqual([])
  })

  it.each([
    ['a list', (id: string) => `${id}, other`, '400 -32600'],
    ['a list without a blank', (id: string) => `${id},other`, '404 -32001'],
    ['an empty value', () => '', '400 -32600'],
    ['a value that is too long', () => 'x'.repeat(1025), '400 -32600'],
    ['letters outside of ASCII', () => 'caf\u00e9', '400 -32600'],
    ['another letter case', (id: string) => id.toUpperCase(), '404 -32001'],
  ])('refuses %s', async (_, spell, verdict) => {
    const { call, begin, server } = await startFake(app, [bindSessions()])
    const session = await begin('a')
    expect(await verdictOf(call('a', { session: spell(session), body: list }))).toBe(verdict)
    expect(server.reached).toEqual(['POST initialize'])
  })

  it('refuses two fields, and reads the name of the field in any letter case', async () => {
    const { issuer, begin, origin, server } = await startFake(app, [bindSessions()])
    const [one, other] = [await begin('a'), await begin('b')]
    const status = (fields: string[]) =>
      new Promise<number | undefined>((resolve, reject) => {
        const { authorization, dpop } = issuer.headers({ agent: 'b', url: '/mcp' })
        const headers = [...fields, 'authorization', authorization, 'dpop', dpop, 'host', 'api.test']
        request(`${origin}/mcp`, { headers }, (response) => {
          response.resume()
          resolve(response.statusCode)
        })
          .on('error', reject)
          .end()
      })
    expect(await status(['Mcp-Session-Id', other, 'MCP-SESSION-ID', one])).toBe(400)
    expect(await status(['mcp-session-id', other, 'mcp-session-id', other])).toBe(400)
    expect(await status(['MCP-SESSION-ID', one])).toBe(403)
    expect(server.reached).toEqual(['POST initialize', 'POST initialize'])
    expect(await status(['mCP-sESSION-iD', other])).toBe(200)
  })

  it('lets no response through that hands the session of another owner to a caller', async () => {
    let isLeaking = false
    const server = createFakeServer(({ body }) => {
      const [id] = server.sessions
      if (!isLeaking || id === undefined) return undefined
      return { headers: { 'mcp-session-id': id, 'x-of': 'a' }, body: JSON.stringify({ body }) }
    })
    const { call, begin } = await startFake(app, [bindSessions()], { server })
    await begin('a')
    isLeaking = true
    const response = await call('b', { body: list })
    expect([response.headers.get('mcp-session-id'), response.headers.get('x-of')]).toEqual([null, null])
    expect(await verdictOf(response)).toBe('403 session_not_yours')
  })

  it('ends no session where the app refuses the DELETE', async () => {
    const server = createFakeServer(({ method }) => (method === 'DELETE' ? { status: 405 } : undefined))
    const { call, begin } = await startFake(app, [bindSessions()], { server })
    const session = await begin('a')
    expect(await verdictOf(call('a', { session, method: 'DELETE' }))).toBe('405')
    expect(await verdictOf(call('a', { session, body: list }))).toBe('200')
  })

  it('binds the session of a response that is a stream before the client learns of it', async () => {
    const { call } = await startFake(app, [bindSessions()])
    const response = await call('a', { body: { method: 'initialize', stream: true } })
    const session = response.headers.get('mcp-session-id') ?? ''
    expect(await verdictOf(call('a', { session, body: list }))).toBe('200')
    expect(await verdictOf(call('b', { session, body: list }))).toBe('403 session_not_yours')
    expect(await response.text()).toContain('"result"')
  })

  it('binds the session of a response that closes the connection, though the store takes its time', async () => {
    const known = new Map<string, string>()
    const later = <T>(value: T) => new Promise<T>((resolve) => setTimeout(() => resolve(value), 30))
    const store: SessionStore = {
      get: (id) => later(known.get(id)),
      set: (id, owner) => later(known.set(id, owner)),
      delete: (id) => later(known.delete(id)),
    }
    const { call } = await startFake(app, [bindSessions({ store }), endWithToken()])
    for (const stream of [false, true]) {
      const response = await call('a', { body: { method: 'initialize', stream } })
      const session = response.headers.get('mcp-session-id') ?? ''
      expect([response.status, await response.text()]).toEqual([200, expect.stringContaining('"result":{}')])
      const verdicts = [call('a', { session, body: list }), call('b', { session, body: list })].map(verdictOf)
      expect(await Promise.all(verdicts)).toEqual(['200', '403 session_not_yours'])
      expect(await verdictOf(call('a', { session, method: 'DELETE' }))).toBe('200')
      expect(known.has(session)).toBe(false)
    }
  })

  it('fails closed where the store does', async () => {
    const down = (): never => {
      throw new Error('down')
    }
    const stores: [string, SessionStore][] = [
      ['get throws', { get: down, set: () => {}, delete: () => {} }],
      ['get rejects', { get: async () => down(), set: () => {}, delete: () => {} }],
      ['get is odd', { get: () => true as never, set: () => {}, delete: () => {} }],
    ]
    for (const [title, store] of stores) {
      const { call, server } = await startFake(app, [bindSessions({ store })])
      expect([title, await verdictOf(call('a', { session: 'x', body: list }))]).toEqual([
        title,
        '503 internal_error',
      ])
      expect(server.reached).toEqual([])
    }
    for (const set of [down, async () => down()]) {
      const { call } = await startFake(app, [
        bindSessions({ store: { get: () => undefined, set, delete: () => {} } }),
      ])
      const response = await call('a', { body: { method: 'initialize' } })
      expect(response.headers.get('mcp-session-id')).toBeNull()
      expect(await verdictOf(response)).toBe('503 internal_error')
    }
  })

  it('gives the store the session id and the owner, without any byte of a token', async () => {
    const store = new Map<string, string>()
    const { begin, server } = await startFake(app, [bindSessions({ store })])
    await begin({ agent: 'a', intent: { workflow: 'w', initiatedBy: 'ann', initiatorType: 'user' } })
    expect([...store]).toEqual([[[...server.sessions][0], '["https://issuer.test","a","a","ann"]']])
  })
})
