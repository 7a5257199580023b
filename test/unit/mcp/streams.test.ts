import { setTimeout as wait } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { memoryRevocations, PolicyError, type Revocations } from '../../../src/index.js'
import { type AnyMiddleware, bindSessions, endWithToken } from '../../../src/mcp/index.js'
import { mcpApps } from '../../support/mcp/apps.js'
import { createFakeServer, events, startFake, toEvent } from '../../support/mcp/fake-server.js'

const soon = () => Date.now() / 1000 + 600
const call17 = { id: 17, method: 'tools/call' }

/** A server whose streams never end by themselves. */
function createTicking(part = toEvent({ jsonrpc: '2.0', method: 'notifications/progress' })) {
  let open = 0
  async function* tick() {
    open += 1
    try {
      for (;;) {
        yield part
        await wait(10)
      }
    } finally {
      open -= 1
    }
  }
  const server = createFakeServer(() => ({ headers: events, stream: tick() }))
  return { server, open: () => open }
}

/** The text of a response until it ends, and the seconds that it took. */
async function toEnd(response: Response): Promise<{ text: string; seconds: number }> {
  const since = performance.now()
  const text = await response.text()
  return { text, seconds: (performance.now() - since) / 1000 }
}

/** A caller whose token is good for 0.6 s by the clock of the verifier. */
function expiring() {
  const exp = Math.floor(Date.now() / 1000) + 10
  const offset = exp * 1000 - 600 - Date.now()
  return { caller: { agent: 'a', claims: { exp } }, options: { now: () => Date.now() + offset } }
}

describe.each(Object.keys(mcpApps))('endWithToken on %s', (app) => {
  it.each(['GET', 'POST'])(
    'ends the stream of a %s when the token expires, and its producer',
    { retry: 2 },
    async (method) => {
      const { server, open } = createTicking()
      const { caller, options } = expiring()
      const { call } = await startFake(app, [bindSessions(), endWithToken()], { server, options })
      const response = await call(caller, method === 'POST' ? { body: call17 } : {})
      expect(response.status).toBe(200)
      const { text, seconds } = await toEnd(response)
      expect(seconds).toBeLessThan(10)
      const last = text.trimEnd().split('\n').at(-1) ?? ''
      const error = {
        code: -32000,
        message: 'The access token has expired.',
        data: { code: 'token_expired' },
      }
      if (method === 'POST') expect(JSON.parse(last.slice(6))).toEqual({ jsonrpc: '2.0', id: 17, error })
      else expect(text).not.toContain('error')
      while (open() > 0) await wait(5)
    },
  )

  it('ends it at once when the token is revoked', async () => {
    const revocations = memoryRevocations()
    const { server, open } = createTicking()
    const { call, issuer } = await startFake(app, [bindSessions(), endWithToken()], {
      server,
      options: { revocations },
    })
    const response = await call('a', { body: call17 })
    const others = await call('b', { body: call17 })
    await wait(50)
    revocations.revoke(`agent:${issuer.issuer} a`, soon())
    const { text, seconds } = await toEnd(response)
    expect([text.includes('token_revoked'), seconds < 10]).toEqual([true, true])
    while (open() !== 1) await wait(5)
    await others.body?.cancel()
    while (open() > 0) await wait(5)
  })

  it('ends it within the interval where the store tells of nothing, or fails', async () => {
    for (const isRevoked of [true, 'down']) {
      let state: unknown = false
      const revocations: Revocations = {
        isRevoked: async () => (state === 'down' ? Promise.reject(new Error('down')) : state === true),
      }
      const { server } = createTicking()
      const { call } = await startFake(app, [endWithToken({ recheckInterval: 0.1 })], {
        server,
        options: { revocations },
      })
      const response = await call('a', { body: call17 })
      await wait(150)
      state = isRevoked
      const { text, seconds } = await toEnd(response)
      expect(text).toContain(isRevoked === true ? 'token_revoked' : 'revocations_unavailable')
      expect(seconds).toBeLessThan(10)
    }
  })

  it('writes no error into an event that is not complete', { retry: 2 }, async () => {
    const { server } = createTicking('data: half')
    const { caller, options } = expiring()
    const { call } = await startFake(app, [endWithToken()], { server, options })
    const { text } = await toEnd(await call(caller, { body: call17 }))
    expect([text.includes('half'), text.includes('token_expired')]).toEqual([true, false])
  })

  it('writes no error into a stream that is encoded', async () => {
    const { server } = createTicking()
    const encoded = {
      ...server,
      handler(call: Parameters<typeof server.handler>[0]) {
        const reply = server.handler(call)
        return { ...reply, headers: { ...reply.headers, 'content-encoding': 'identity' } }
      },
    }
    const { caller, options } = expiring()
    const { call } = await startFake(app, [endWithToken()], { server: encoded, options })
    expect((await toEnd(await call(caller, { body: call17 }))).text).not.toContain('token_expired')
  })

  it('leaves other responses alone, and a stream that ends by itself', async () => {
    const asked: string[][] = []
    const revocations: Revocations = { isRevoked: (ids) => asked.push(ids) < 0 }
    const middleware = [endWithToken({ recheckInterval: 0.05 })]
    const { call } = await startFake(app, middleware, { options: { revocations } })
    expect(await (await call('a', { body: { method: 'tools/list' } })).text()).toContain('"result"')
    expect(asked).toHaveLength(1)
    expect(await (await call('a', { body: { method: 'tools/list', stream: true } })).text()).toContain(
      '"result"',
    )
    const askedAtTheEnd = asked.length
    await wait(200)
    expect(asked.length).toBe(askedAtTheEnd)
  })

  it('watches no stream whose client is gone', async () => {
    let listeners = 0
    const revocations: Revocations = {
      isRevoked: () => false,
      onRevoked() {
        listeners += 1
        return () => {
          listeners -= 1
        }
      },
    }
    const { server, open } = createTicking()
    const { call } = await startFake(app, [endWithToken()], { server, options: { revocations } })
    const controller = new AbortController()
    const response = await call('a', { signal: controller.signal })
    expect([response.status, listeners]).toEqual([200, 1])
    controller.abort()
    while (listeners > 0 || open() > 0) await wait(5)
  })

  it('watches no stream whose client is gone before it begins', async () => {
    let listeners = 0
    let isLate = false
    const revocations: Revocations = {
      isRevoked: () => false,
      onRevoked() {
        listeners += 1
        return () => {
          listeners -= 1
        }
      },
    }
    /** Any framework gives `next` last. */
    const delay = (async (...values: readonly unknown[]) => {
      await wait(200)
      isLate = true
      return (values.at(-1) as () => unknown)()
    }) as AnyMiddleware
    const { call } = await startFake(app, [endWithToken(), delay], { options: { revocations } })
    const controller = new AbortController()
    const body = { method: 'tools/list', stream: true }
    const response = call('a', { body, signal: controller.signal }).catch(() => 'aborted')
    await wait(50)
    controller.abort()
    expect(await response).toBe('aborted')
    while (!isLate) await wait(5)
    await wait(100)
    expect(listeners).toBe(0)
  })

  it('ends no stream of a public route, nor one that is only observed', async () => {
    for (const policy of [{ routes: { '* /mcp': 'public' as const } }, { mode: 'observe' as const }]) {
      const revocations = memoryRevocations()
      const { server } = createTicking()
      const { call, issuer } = await startFake(app, [endWithToken()], {
        server,
        policy,
        options: { revocations },
      })
      const response = await call('a', { body: call17 })
      const reader = response.body?.getReader()
      revocations.revoke(`agent:${issuer.issuer} a`, soon())
      for (let parts = 0; parts < 5; parts++) expect((await reader?.read())?.done).toBe(false)
      await reader?.cancel()
    }
  })
})

describe('endWithToken', () => {
  it.each([{ recheckInterval: 0 }, { recheckInterval: 301 }, { interval: 5 }])('refuses %o', (options) => {
    expect(() => endWithToken(options as never)).toThrow(PolicyError)
  })
})
