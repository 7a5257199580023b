import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { defaultPolicy } from '../../../fixtures/conformance/policy.js'
import { createKit, type WireRequest } from '../../../fixtures/kit.js'
import { createVerifier } from '../../../src/index.js'
import { type RedisClient, redisReplayStore } from '../../../src/stores/redis/index.js'
import { connectClient, type Package, packages } from '../../support/redis/clients.js'
import { startProxy } from '../../support/redis/proxy.js'
import { hasRedisServer, type RedisServer, startRedis, WITHOUT_REDIS } from '../../support/redis/server.js'
import { outcomeOf } from '../../support/verify.js'

const LOST = 'replay_store_unavailable'
const policy = {
  ...defaultPolicy(),
  token: { clockTolerance: 2 },
  routes: { 'GET /orders/:id': { scope: 'orders:read' }, 'GET /once': { once: true } },
} as const

const now = () => createKit(Date.now())
type Ask = (call: WireRequest) => Promise<string>
const freshToken = () => now().token({ claims: { iat: now().seconds } })

/** A client in the shape of ioredis whose server says this of itself, and takes every key for new. */
function fakeClient(info: () => string): RedisClient {
  const client = {
    status: 'ready',
    on: () => {},
    duplicate: () => client,
    connect: async () => {},
    disconnect: () => {},
    call: async (command: string) => (command === 'INFO' ? info() : 'OK'),
  }
  return client as RedisClient
}

describe('what INFO says of the time since which a server remembers', () => {
  it.each([
    ['an hour', 'uptime_in_seconds:3600\r\n', 'allow'],
    ['no time that it tells', '', LOST],
    ['a time that is no number', 'uptime_in_seconds:long\r\n', LOST],
    ['a second', 'uptime_in_seconds:1\r\n', LOST],
  ])('a server that has been up for %s', async (_, uptime, expected) => {
    const client = fakeClient(() => `run_id:1\r\nrole:master\r\n${uptime}`)
    const verifier = createVerifier(policy, { replayStore: redisReplayStore(client) })
    const { method, url, headers } = now().call()
    const decision = await verifier.verify({ method, url, headers: Object.fromEntries(headers) })
    expect(outcomeOf(decision)).toBe(expected)
  })
})

/** Waits until a new proof passes; the seconds that it took. */
async function untilPassing(ask: Ask): Promise<number> {
  const began = performance.now()
  for (;;) {
    if ((await ask(now().call())) === 'allow') return (performance.now() - began) / 1000
    if (performance.now() - began > 20_000) throw new Error('no new proof passed within 20 s')
    await pause(100)
  }
}

/**
 * A server, and processes that use it; all end with the test. The tests mostly wait, so they run side by
 * side.
 */
const withServer = (name: Package) =>
  it.extend<{ server: RedisServer; closing: (() => unknown)[]; open: (port?: number) => Promise<Ask> }>({
    // biome-ignore lint/correctness/noEmptyPattern: Vitest reads names of fixtures from it.
    server: async ({}, use) => {
      const server = await startRedis()
      await use(server)
      await server.stop()
    },
    // biome-ignore lint/correctness/noEmptyPattern: as above.
    closing: async ({}, use) => {
      const closing: (() => unknown)[] = []
      await use(closing)
      for (const close of closing) await close()
    },
    // A client, a store and a verifier of its own, as another process has them.
    open: async ({ server, closing }, use) => {
      await use(async (port = server.port) => {
        const { client, close } = await connectClient(name, port)
        closing.push(close)
        // A busy machine must not look like a lost memory.
        const verifier = createVerifier(policy, { replayStore: redisReplayStore(client, { timeout: 2 }) })
        return async ({ method, url, headers }) =>
          outcomeOf(await verifier.verify({ method, url, headers: Object.fromEntries(headers) }))
      })
    },
  })

describe.skipIf(!hasRedisServer).concurrent.each(packages)(
  `a server that lost its memory, by %s${WITHOUT_REDIS}`,
  (name) => {
    const test = withServer(name)

    test('passes no proof that it knew, at a process that starts or is first used afterwards', async ({
      server,
      open,
      expect,
    }) => {
      const [one, unused] = [await open(), await open()]
      await untilPassing(one)
      const calls = [
        now().call(),
        now().call({ proof: { claims: { iat: Math.floor(Date.now() / 1000) + 2 } } }),
      ]
      for (const call of calls) expect(await one(call)).toBe('allow')
      await server.restart()
      const started = await open()
      for (const ask of [started, unused, one]) {
        for (const call of calls) expect(await ask(call)).toBe(LOST)
      }
      // Until any new proof passes: the tolerance of 2 s, and what is not known of the start.
      expect(await untilPassing(started)).toBeLessThan(15)
      for (const ask of [started, unused, await open()]) {
        for (const call of calls) expect(await ask(call)).toBe(LOST)
      }
      expect(await unused(now().call())).toBe('allow')
    })

    test('holds no proofs up for as long as a token for one use lives, and passes no such token', async ({
      server,
      open,
      expect,
    }) => {
      const ask = await open()
      await untilPassing(ask)
      const token = freshToken()
      expect(await ask(now().call({ path: '/once', token }))).toBe('allow')
      await server.restart()
      expect(await untilPassing(ask)).toBeLessThan(15)
      expect(await ask(now().call({ path: '/once', token }))).toBe(LOST)
      const started = await open()
      expect(await started(now().call({ path: '/once', token }))).toBe(LOST)
      await untilPassing(started)
      expect(await started(now().call({ path: '/once', token: freshToken() }))).toBe('allow')
    })

    test('is found out where it is a replica that was up before, and was promoted since', async ({
      server,
      closing,
      open,
      expect,
    }) => {
      const link = await startProxy(server.port)
      const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(link.port)] })
      closing.push(link.stop, replica.stop)
      const one = await open()
      const waiting = await open(replica.port)
      await untilPassing(one)
      expect(await waiting(now().call())).toBe(LOST)
      link.stop()
      const call = now().call()
      expect(await one(call)).toBe('allow')
      await server.kill()
      await replica.send('REPLICAOF NO ONE')
      // Longer up than any proof is old, as far as its uptime goes; and one process is connected all the
      // time.
      const started = await open(replica.port)
      expect(await started(call)).toBe(LOST)
      expect(await waiting(call)).toBe(LOST)
      await untilPassing(started)
      expect(await started(call)).toBe(LOST)
      expect(await waiting(call)).toBe(LOST)
      // A process that starts later knows from the server since when it is a master, and holds up nothing.
      const later = await open(replica.port)
      // On a busy machine the first answer may be late; the six seconds of a restarted server are longer.
      expect(await untilPassing(later)).toBeLessThan(5)
      expect(await later(call)).toBe(LOST)
    })

    test('is found out where an address moves to another server that has been up for longer', async ({
      server,
      closing,
      open,
      expect,
    }) => {
      const other = await startRedis()
      const address = await startProxy(server.port)
      closing.push(address.stop, other.stop)
      const [one, unused] = [await open(address.port), await open(address.port)]
      await untilPassing(one)
      const call = now().call()
      expect(await one(call)).toBe('allow')
      address.retarget(other.port)
      await untilPassing(unused)
      expect(await unused(call)).toBe(LOST)
      expect(await one(call)).toBe(LOST)
    })
  },
)
