import express from 'express'
import { describe, expect, it, vi } from 'vitest'
import { PolicyError } from '../../../src/index.js'
import { type AnyMiddleware, bindSessions, memorySessionStore } from '../../../src/mcp/index.js'
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
    const store = new Map<string, string>()
    const { call, begin, origin, server } = await startFake('Express 5', [bindSessions({ store })], {
      policy,
      options,
    })
    const session = await begin('a')
    expect(await verdictOf(call('b', { session, body: list }))).toBe('200')
    server.sessions.add('known-to-the-app-alone')
    expect(await verdictOf(call('b', { session: 'known-to-the-app-alone', body: list }))).toBe('200')
    expect((await fetch(`${origin}/mcp`, { headers: { 'mcp-session-id': session } })).status).toBe(200)
    expect(codes).toEqual(['session_not_yours', 'credentials_missing'])
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize' })
    const headers = { 'content-type': 'application/json' }
    const begun = await fetch(`${origin}/mcp`, { method: 'POST', headers, body })
    expect([begun.headers.has('mcp-session-id'), store.size]).toEqual([true, 1])
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

describe('a request that the app has changed', () => {
  it.each([
    [
      'another value',
      (headers: Record<string, unknown>, other: string) =>
        Object.assign(headers, { 'mcp-session-id': other }),
    ],
    [
      'a second name',
      (headers: Record<string, unknown>, other: string) =>
        Object.assign(headers, { 'Mcp-Session-Id': other }),
    ],
    [
      'a list',
      (headers: Record<string, unknown>, other: string) =>
        Object.assign(headers, { 'mcp-session-id': [other] }),
    ],
  ])('is refused where the app and the SDK could read two ids: %s', async (_, change) => {
    let other = ''
    const setter: AnyMiddleware = async (req: object, _res: object, next?: () => void) => {
      if (other !== '') change(Reflect.get(req, 'headers'), other)
      return next?.()
    }
    const { call, begin, server } = await startFake('Express 5', [setter, bindSessions()])
    const own = await begin('b')
    other = await begin('a')
    server.reached.length = 0
    expect(await verdictOf(call('b', { session: own, body: list }))).toBe('400 -32600')
    expect(server.reached).toEqual([])
  })

  it('has the session on the wire where the app has deleted the field: the SDK reads that', async () => {
    const deleter: AnyMiddleware = async (req: object, _res: object, next?: () => void) => {
      delete Reflect.get(req, 'headers')['mcp-session-id']
      return next?.()
    }
    const { call, begin } = await startFake('Express 5', [deleter, bindSessions()])
    const session = await begin('a')
    expect(await verdictOf(call('b', { session, body: list }))).toBe('403 session_not_yours')
  })

  it('is refused where no parser has read its body, which may name a task', async () => {
    for (const strip of [() => undefined, () => 'text', () => new Uint8Array(3)] as ((
      body: unknown,
    ) => unknown)[]) {
      const middleware: AnyMiddleware = async (req: object, _res: object, next?: () => void) => {
        Reflect.set(req, 'body', strip(Reflect.get(req, 'body')))
        return next?.()
      }
      const { call, server } = await startFake('Express 5', [middleware, bindSessions()])
      expect(await verdictOf(call('a', { body: list }))).toBe('400 -32700')
      expect(server.reached).toEqual([])
    }
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
