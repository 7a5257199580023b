import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createKit, issuerJwks } from '../../../fixtures/kit.js'
import { createVerifier, type LimitUse, memoryReplayStore, type VerifyRequest } from '../../../src/index.js'
import { type RedisClient, type RedisLimitStore, redisLimitStore } from '../../../src/stores/redis/index.js'
import { connectClient, packages, startClient } from '../../support/redis/clients.js'
import { limitPolicy } from '../../support/redis/limit-policy.js'
import { hasRedisServer, type RedisServer, startRedis, WITHOUT_REDIS } from '../../support/redis/server.js'
import { outcomeOf } from '../../support/verify.js'

const MEMBER = fileURLToPath(new URL('../../support/redis/limit-member.ts', import.meta.url))

const use = (key: string, cost: number, max: number, more: Partial<LimitUse> = {}): LimitUse => ({
  key,
  cost,
  max,
  window: 60,
  isExtended: false,
  ...more,
})
const allowedOf = (results: readonly { allowed: boolean }[]) => results.map(({ allowed }) => allowed)

describe.skipIf(!hasRedisServer)(`limits in Redis${WITHOUT_REDIS}`, () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  }, 60_000)
  afterAll(async () => server?.stop())

  describe.each(packages)('with %s', (name) => {
    let store: RedisLimitStore
    let close: () => void
    let client: RedisClient
    beforeAll(async () => {
      const test = await connectClient(name, server.port)
      close = test.close
      client = test.client
      store = redisLimitStore(test.client, { prefix: `${name}:`, timeout: 10 })
    })
    afterAll(() => close())

    it('counts up to the limit, and begins again when the window is over', async () => {
      expect(await store.consume('w', 2, 3, 1)).toEqual({ allowed: true, remaining: 1, resetSeconds: 1 })
      expect(await store.consume('w', 2, 3, 1)).toMatchObject({ allowed: false, remaining: 1 })
      expect(await store.consume('w', 1, 3, 1)).toMatchObject({ allowed: true, remaining: 0 })
      await pause(1010)
      expect(await store.consume('w', 3, 3, 1)).toMatchObject({ allowed: true, remaining: 0 })
    })

    it('adds decimal and large amounts exactly', async () => {
      for (let call = 0; call < 3; call++) expect((await store.consume('d', 0.1, 0.3, 60)).allowed).toBe(true)
      expect(await store.consume('d', 0.0001, 0.3, 60)).toMatchObject({ allowed: false, remaining: 0 })
      const most = 900_000_000_000
      expect(await store.consume('l', most, most, 60)).toMatchObject({ allowed: true, remaining: 0 })
      expect((await store.consume('l', 0.0001, most, 60)).allowed).toBe(false)
    })

    it('counts several keys together, or none', async () => {
      expect(allowedOf(await store.consumeAll([use('a', 1, 2), use('b', 1, 1)]))).toEqual([true, true])
      expect(allowedOf(await store.consumeAll([use('a', 1, 2), use('b', 1, 1)]))).toEqual([true, false])
      expect((await store.consume('a', 0, 2, 60)).remaining).toBe(1)
    })

    it('extends a counter for limits that last as long as a token, and no other', async () => {
      await store.consumeAll([
        use('e', 1, 9, { window: 10, isExtended: true }),
        use('f', 1, 9, { window: 10 }),
      ])
      const later = [use('e', 1, 9, { window: 60, isExtended: true }), use('f', 1, 9, { window: 60 })]
      const [extended, fixed] = await store.consumeAll(later)
      expect(extended?.resetSeconds).toBe(60)
      expect(fixed?.resetSeconds).toBeLessThanOrEqual(10)
      const [kept] = await store.consumeAll([use('e', 1, 9, { window: 5, isExtended: true })])
      expect(kept?.resetSeconds).toBeGreaterThan(50)
    })

    it('gives back to the period that a cost was counted in, and to no other', async () => {
      const [first] = await store.consumeAll([use('g', 2, 2, { window: 1 })])
      const period = first?.period ?? ''
      await store.giveBack([{ key: 'g', cost: 1, period }])
      expect(await store.consume('g', 1, 2, 1)).toMatchObject({ allowed: true, remaining: 0 })
      await pause(1010)
      await store.consume('g', 2, 2, 60)
      await store.giveBack([{ key: 'g', cost: 2, period }])
      expect((await store.consume('g', 1, 2, 60)).allowed).toBe(false)
      expect(await store.consume('g', -1, 2, 60)).toMatchObject({ allowed: true, remaining: 1 })
      expect(await store.consume('h', -1, 2, 60)).toMatchObject({ allowed: true, remaining: 2 })
    })

    it('gives back once, where a client sends the command again after a reconnect', async () => {
      const [first] = await store.consumeAll([use('r', 6, 6)])
      const target = client as unknown as Record<string, (...args: unknown[]) => unknown>
      const send = vi.spyOn(target, name === 'ioredis' ? 'call' : 'sendCommand')
      await store.giveBack([{ key: 'r', cost: 2, period: first?.period ?? '' }])
      const sent = send.mock.calls.at(-1) ?? []
      await Reflect.apply(send, target, sent)
      send.mockRestore()
      expect((await store.consume('r', 0, 6, 60)).remaining).toBe(2)
    })

    it('goes on when the server has lost its scripts', async () => {
      await store.consume('s', 1, 2, 60)
      await server.send('SCRIPT FLUSH')
      expect(await store.consume('s', 1, 2, 60)).toMatchObject({ allowed: true, remaining: 0 })
    })

    it.each([
      ['a cost that is no number', Number.NaN, 1, 60],
      ['a limit below 0', 1, -1, 60],
      ['no window', 1, 1, 0],
    ])('rejects %s', async (_, cost, max, window) => {
      await expect(store.consume('x', cost, max, window)).rejects.toThrow(TypeError)
    })
  })

  it('refuses options and clients that it cannot use', () => {
    expect(() => redisLimitStore({} as never)).toThrow(TypeError)
    const { client, close } = startClient('ioredis', server.port)
    expect(() => redisLimitStore(client, { timeout: 0 })).toThrow(/timeout/)
    close()
  })

  it('lets exactly 20 of 70 concurrent calls pass across four processes, ten times', {
    timeout: 180_000,
  }, async () => {
    const kit = createKit(Date.now())
    const jwks = JSON.stringify(issuerJwks())
    const fleet = ['ioredis', 'redis', 'ioredis', 'redis'].map((name) =>
      fork(MEMBER, [name, String(server.port), jwks], { execArgv: ['--import', 'tsx'] }),
    )
    const answer = async (child: (typeof fleet)[number]) => (await once(child, 'message'))[0] as string[]
    await Promise.all(fleet.map(answer))
    for (let run = 0; run < 10; run++) {
      const requests = Array.from({ length: 70 }, () => requestOf(kit, `run-${run}`))
      const answers = fleet.map((child, at) => {
        const waiting = answer(child)
        child.send(requests.filter((_, index) => index % fleet.length === at))
        return waiting
      })
      const outcomes = (await Promise.all(answers)).flat()
      expect([run, outcomes.filter((outcome) => outcome === 'allow').length]).toEqual([run, 20])
      expect(outcomes.filter((outcome) => outcome === 'limit_exceeded')).toHaveLength(50)
    }
    for (const child of fleet) child.send('stop')
    // Requests that the one limit refused are not in the other.
    expect(await server.send('KEYS ajwt:limit:*')).toMatch(/^\*11\r/)
    const keys = (await server.send('KEYS ajwt:limit:*'))
      .split('\r\n')
      .filter((line) => line.startsWith('ajwt:') && !line.includes('given-back:'))
    const used = await Promise.all(keys.map((key) => server.send(`HGET ${key} used`)))
    expect(used.map((reply) => Number(reply.split('\r\n')[1]) / 10_000).sort((a, b) => a - b)).toEqual([
      ...Array(10).fill(20),
      200,
    ])
  })
})

/** A request in a run, with a clock that is right: four processes have it. */
function requestOf(kit: ReturnType<typeof createKit>, run: string): VerifyRequest {
  const intent = { executed_by: 'agent-7', initiated_by: 'user-1', run_id: run }
  const { method, url, headers } = kit.call({ token: { claims: { intent } } })
  const fields: Record<string, string> = {}
  for (const [name, value] of headers) fields[name.toLowerCase()] = value
  return { method, url, headers: fields }
}

describe.skipIf(!hasRedisServer).each(packages)(`a Redis that is gone, with %s${WITHOUT_REDIS}`, (name) => {
  it('lets no request pass, and none is counted later', { timeout: 60_000 }, async () => {
    const server = await startRedis()
    const { client, close } = await connectClient(name, server.port)
    const limitStore = redisLimitStore(client)
    const kit = createKit(Date.now())
    const verifier = createVerifier(limitPolicy(issuerJwks()), {
      limitStore,
      replayStore: memoryReplayStore(),
    })
    const ask = async () => outcomeOf(await verifier.verify(requestOf(kit, 'run-1')))
    expect(await ask()).toBe('allow')
    const frozen = Promise.all(Array.from({ length: 5 }, ask))
    server.freeze()
    const refused = [...(await frozen), await ask()]
    expect(refused.slice(-1)).toEqual(['limits_unavailable'])
    await server.kill()
    await pause(100)
    const gone = await Promise.all(Array.from({ length: 30 }, ask))
    expect(new Set(gone)).toEqual(new Set(['limits_unavailable']))
    await server.restart()
    let outcome = await ask()
    for (let tries = 0; tries < 100 && outcome !== 'allow'; tries++) {
      await pause(50)
      outcome = await ask()
    }
    expect(outcome).toBe('allow')
    const [key] = (await server.send('KEYS ajwt:limit:*'))
      .split('\r\n')
      .filter((line) => line.startsWith('ajwt:') && !line.includes('given-back:'))
    expect(Number((await server.send(`HGET ${key} used`)).split('\r\n')[1])).toBe(10_000)
    close()
    await server.stop()
  })
})
