import express from 'express'
import { describe, expect, it, vi } from 'vitest'
import { PolicyError } from '../../../src/index.js'
import { bindSessions, memorySessionStore } from '../../../src/mcp/index.js'
import { createOwnership } from '../../../src/mcp/ownership.js'
import { isRefusal } from '../../../src/refusal.js'
import { listen } from '../../support/listen.js'
import { createFakeServer, startFake, verdictOf } from '../../support/mcp/fake-server.js'

const list = { method: 'tools/list' }

describe('bindSessions without credentials', () => {
  it('keeps the sessions of agents from callers without a token, and theirs from agents', async () => {
    const routes = { '* /mcp': { anonymous: true } }
    const { origin, call, begin } = await startFake('Express 5', [bindSessions()], { policy: { routes } })
    const anonymous = (session: string, body?: object) =>
      fetch(`${origin}/mcp`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(session === '' ? {} : { 'mcp-session-id': session }),
        },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...(body ?? list) }),
      })
    const ofAgent = await begin('a')
    expect(await verdictOf(anonymous(ofAgent))).toBe('403 session_not_yours')
    const begun = await anonymous('', { method: 'initialize' })
    const ofNobody = begun.headers.get('mcp-session-id') ?? ''
    expect(await verdictOf(anonymous(ofNobody))).toBe('200')
    expect(await verdictOf(call('a', { session: ofNobody, body: list }))).toBe('403 session_not_yours')
  })

  it.each([
    ['the policy', { mode: 'observe' as const }],
    ['the route', { routes: { '* /mcp': { mode: 'observe' as const } } }],
  ])('only reports under mode observe of %s', async (_, policy) => {
    const codes: string[] = []
    const options = {
      onDecision: (decision: object) => void ('code' in decision && codes.push(String(decision.code))),
    }
    const { call, begin, origin, server } = await startFake('Express 5', [bindSessions()], {
      policy,
      options,
    })
    const session = await begin('a')
    expect(await verdictOf(call('b', { session, body: list }))).toBe('200')
    server.sessions.add('known-to-the-app-alone')
    expect(await verdictOf(call('b', { session: 'known-to-the-app-alone', body: list }))).toBe('200')
    expect((await fetch(`${origin}/mcp`, { headers: { 'mcp-session-id': session } })).status).toBe(200)
    expect(codes).toEqual(['session_not_yours', 'credentials_missing', 'session_not_yours'])
  })
})

describe('a mistake of the app', () => {
  it('is told: no ajwt in front of it', async () => {
    const app = express()
    app.use(bindSessions())
    app.get('/mcp', (_, res) => void res.end())
    const { origin, close } = await listen(app)
    const warnings: Error[] = []
    const listener = (warning: Error) => warnings.push(warning)
    process.on('warning', listener)
    expect([(await fetch(`${origin}/mcp`)).status, (await fetch(`${origin}/mcp`)).status]).toEqual([503, 503])
    close()
    process.off('warning', listener)
    expect(warnings).toMatchObject([
      { code: 'AJWT_NOT_MOUNTED', message: expect.stringMatching(/^bindSessions was reached .* mount ajwt/) },
    ])
  })

  it('is told: another host than Express, Koa and Hono', async () => {
    await expect(bindSessions()({}, async () => {})).rejects.toThrow(
      'bindSessions() is a middleware for Express, Koa and Hono: app.use(bindSessions())',
    )
  })

  it.each([
    ['options.stroe: is not known', { stroe: new Map() }],
    ['options.store: must have the methods get, set and delete', { store: { get: () => undefined } }],
  ])('is told: %s', (message, options) => {
    expect(() => bindSessions(options as never)).toThrow(PolicyError)
    expect(() => bindSessions(options as never)).toThrow(message)
  })

  it('is told: a session id that no field can hold', async () => {
    const server = createFakeServer(() => ({ headers: { 'mcp-session-id': 'x'.repeat(1025) } }))
    const { call } = await startFake('Express 5', [bindSessions()], { server })
    expect(await verdictOf(call('a', { body: list }))).toBe('503 internal_error')
  })
})

describe('a store that does not answer', () => {
  it('is a refusal after five seconds', async () => {
    vi.useFakeTimers()
    try {
      const never = () => new Promise<never>(() => {})
      const ownership = createOwnership({ get: never, set: never, delete: never }, 'a')
      const settled = Promise.all([ownership.check('x'), ownership.forget('x')])
      await vi.advanceTimersByTimeAsync(5000)
      const [checked] = await settled
      expect(isRefusal(checked) && [checked.code, checked.cause?.reason]).toEqual([
        'internal_error',
        'the session store failed: no answer within 5 s',
      ])
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('memorySessionStore', () => {
  it('forgets the ids that were unused for the longest time, of the owner that has too many first', () => {
    const store = memorySessionStore({ maxEntries: 4, maxPerOwner: 2 })
    store.set('a1', 'a')
    store.set('b1', 'b')
    store.set('b2', 'b')
    expect(store.get('b1')).toBe('b')
    store.set('b3', 'b')
    expect(['a1', 'b1', 'b2', 'b3'].map((id) => store.get(id))).toEqual(['a', 'b', undefined, 'b'])
    store.set('c1', 'c')
    store.set('c2', 'c')
    expect(['a1', 'b1', 'b3', 'c1', 'c2'].map((id) => store.get(id))).toEqual([undefined, 'b', 'b', 'c', 'c'])
    expect(store.size).toBe(4)
    store.delete('c1')
    store.set('c3', 'c')
    expect(['c1', 'c2', 'c3'].map((id) => store.get(id))).toEqual([undefined, 'c', 'c'])
  })

  it('gives no id away', () => {
    const store = memorySessionStore()
    store.set('x', 'a')
    store.set('x', 'a')
    expect(() => store.set('x', 'b')).toThrow('another owner')
    expect(store.get('x')).toBe('a')
  })

  it('keeps an id for its ttl after the last use', { retry: 2 }, async () => {
    const store = memorySessionStore({ ttl: 1 })
    store.set('x', 'a')
    await new Promise((resolve) => setTimeout(resolve, 600))
    expect(store.get('x')).toBe('a')
    await new Promise((resolve) => setTimeout(resolve, 600))
    expect(store.get('x')).toBe('a')
    await new Promise((resolve) => setTimeout(resolve, 1050))
    expect(store.get('x')).toBeUndefined()
  })

  it.each([{ maxEntries: 0 }, { maxPerOwner: 1.5 }, { ttl: Number.NaN }])('refuses %o', (options) => {
    expect(() => memorySessionStore(options)).toThrow(/must be a whole number greater than 0/)
  })
})
