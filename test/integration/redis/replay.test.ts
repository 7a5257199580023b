import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, vi } from 'vitest'
import { type RedisReplayStore, redisReplayStore } from '../../../src/stores/redis/index.js'
import { freePort } from '../../support/program.js'
import { packages, startClient } from '../../support/redis/clients.js'
import { digest, proofKey } from '../../support/redis/keys.js'
import { outcome } from '../../support/redis/outcome.js'
import { startProxy } from '../../support/redis/proxy.js'
import { hasRedisServer, startRedis, WITHOUT_REDIS } from '../../support/redis/server.js'
import { testWithServer } from '../../support/redis/with-server.js'

/** Milliseconds after which a server is known to have been up before a proof was made. */
const SETTLED = 2100
async function eventually(condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 30_000
  while (!(await condition())) {
    if (performance.now() > end) throw new Error('did not come about within 30 s')
    await pause(20)
  }
}

describe.skipIf(!hasRedisServer).concurrent.each(packages)(
  `redisReplayStore on a real server, by %s${WITHOUT_REDIS}`,
  (name) => {
    type Open = (port?: number, options?: { timeout?: number; prefix?: string }) => Promise<RedisReplayStore>
    const test = testWithServer(name, { age: SETTLED }).extend<{ open: Open }>({
      open: async ({ connect }, use) => {
        await use(async (port, options) => redisReplayStore((await connect(port)).client, options))
      },
    })

    test('accepts a proof once, one after the other and a hundred at a time', async ({ server, open }) => {
      const store = await open(server.port, { timeout: 5 })
      expect(await store.remember(proofKey('a', 1), 60)).toBe(true)
      expect(await store.remember(proofKey('a', 1), 60)).toBe(false)
      expect(await store.remember(proofKey('b', 1), 60)).toBe(true)
      const answers = await Promise.all(
        Array.from({ length: 100 }, () => store.remember(proofKey('a', 2), 60)),
      )
      expect(answers.filter(Boolean)).toHaveLength(1)
    })

    test('accepts each of many proofs once that are presented twice in one turn', async ({
      server,
      open,
      expect,
    }) => {
      const store = await open(server.port, { timeout: 5 })
      await store.ready()
      const keys = Array.from({ length: 1200 }, (_, jti) => proofKey('a', jti))
      const answers = await Promise.all([...keys, ...keys].map((key) => store.remember(key, 60)))
      expect(answers).toEqual([...keys.map(() => true), ...keys.map(() => false)])
      expect(await server.send('DBSIZE')).toBe(':1200\r\n')
      await server.send('SCRIPT FLUSH')
      const again = await Promise.all(keys.map((key) => store.remember(key, 60)))
      expect(new Set(again)).toEqual(new Set([false]))
    })

    test('keeps an entry of a batch for its own ttl', async ({ server, open, expect }) => {
      const store = await open(server.port, { timeout: 5 })
      await store.ready()
      const ttls = [100, 200, 300, 400]
      const began = performance.now()
      await Promise.all(ttls.map((ttl) => store.remember(`k${ttl}`, ttl)))
      for (const ttl of ttls) {
        const left = Number((await server.send(`PTTL ajwt:r:${digest(`k${ttl}`).slice(0, 22)}`)).slice(1))
        expect(left).toBeGreaterThan(ttl * 1000 - (performance.now() - began))
        expect(left).toBeLessThanOrEqual((ttl + 5) * 1000)
      }
    })

    test('uses 117 bytes of Redis for a proof', async ({ server, open, expect }) => {
      const store = await open(server.port, { timeout: 5 })
      await store.ready()
      await store.remember(proofKey('a', 'first'), 600)
      const used = async () => Number(/used_memory:(\d+)/.exec(await server.send('INFO memory'))?.[1])
      const before = await used()
      // The hash tables of Redis double, so that the figure is that of 100,000 proofs.
      const count = 25_000
      for (let done = 0; done < count; done += 1000)
        await Promise.all(
          Array.from({ length: 1000 }, (_, at) => store.remember(proofKey('a', done + at), 600)),
        )
      expect(((await used()) - before) / count).toBeLessThan(125)
    })

    test('takes one proof for the same alone and in a batch, with a prefix of the client', async ({
      server,
      closing,
      expect,
    }) => {
      const test = startClient(name, server.port, { keyPrefix: 'app:' })
      closing.push(test.close)
      const store = redisReplayStore(test.client, { timeout: 5 })
      await eventually(async () => (await outcome(store, 'ready')) !== 'rejected')
      const keys = Array.from({ length: 10 }, (_, jti) => proofKey('a', jti))
      for (const key of keys.slice(0, 5)) expect(await store.remember(key, 60)).toBe(true)
      const answers = await Promise.all(keys.map((key) => store.remember(key, 60)))
      expect(answers).toEqual(keys.map((_, at) => at >= 5))
      for (const key of keys) expect(await store.remember(key, 60)).toBe(false)
    })

    test('works for a user that may not run scripts', async ({ server, open, expect }) => {
      const store = await open(server.port, { timeout: 5 })
      await server.send('ACL SETUSER default -@scripting')
      await store.ready()
      const keys = Array.from({ length: 20 }, (_, jti) => proofKey('a', jti))
      for (const expected of [true, false]) {
        const answers = await Promise.all(keys.map((key) => store.remember(key, 60)))
        expect(new Set(answers)).toEqual(new Set([expected]))
      }
    })

    test('accepts a proof once among stores that share the server, and keeps prefixes apart', async ({
      server,
      open,
    }) => {
      const patient = { timeout: 5 }
      const [one, two] = [await open(server.port, patient), await open(server.port, patient)]
      const other = await open(server.port, { ...patient, prefix: 'other:' })
      expect(await one.remember(proofKey('a', 1), 60)).toBe(true)
      expect(await two.remember(proofKey('a', 1), 60)).toBe(false)
      expect(await other.remember(proofKey('a', 1), 60)).toBe(true)
    })

    test('keeps an entry for at least its ttl, and not for ever', async ({ server, open }) => {
      const store = await open(server.port, { timeout: 5 })
      const began = performance.now()
      await store.remember('k', 60)
      const left = Number((await server.send(`PTTL ajwt:r:${digest('k').slice(0, 22)}`)).slice(1))
      expect(left).toBeGreaterThan(60_000 - (performance.now() - began))
      expect(left).toBeLessThanOrEqual(65_000)
      expect(await store.remember('short', 0.01)).toBe(true)
      expect(await store.remember('short', 0.01)).toBe(false)
      await eventually(() => store.remember('short', 0.01))
    })

    test('rejects within the deadline while Redis hangs, accepts nothing twice, and recovers by itself', async ({
      server,
      open,
    }) => {
      const store = await open()
      const accepted = new Set<number>()
      const rejected = new Set<number>()
      let slowest = 0
      let running = true
      let jti = 0
      async function present() {
        const each = jti++
        const began = performance.now()
        const answer = await outcome(store, proofKey('a', each))
        if (answer === 'rejected') slowest = Math.max(slowest, performance.now() - began)
        if (answer === true) accepted.add(each)
        else if (answer === 'rejected') rejected.add(each)
      }
      // Four proofs at a time, so that batches are under way.
      async function load() {
        while (running) {
          await Promise.all([present(), present(), present(), present()])
          await pause(1)
        }
      }
      const loads = Array.from({ length: 20 }, load)
      await eventually(async () => accepted.size > 20)
      server.freeze()
      await pause(2000)
      server.thaw()
      await eventually(async () => (await outcome(store, proofKey('b', jti++))) === true)
      running = false
      await Promise.all(loads)
      expect(accepted.size).toBeGreaterThan(0)
      expect(rejected.size).toBeGreaterThan(20)
      console.log(
        `${name}: SIGSTOP under load: ${rejected.size} rejected, the slowest after ${slowest.toFixed(0)} ms`,
      )
      // The deadline is 250 ms; the rest is what this machine takes to run a timer under load.
      expect(slowest).toBeLessThan(1900)
      const patient = await open(server.port, { timeout: 5 })
      for (const each of [...accepted].slice(-200))
        expect(await outcome(patient, proofKey('a', each))).toBe(false)
    })

    test('rejects while Redis is killed, recovers by itself, and passes nothing that the dead server knew', async ({
      server,
      open,
    }) => {
      const store = await open()
      const accepted: { key: string; end: number }[] = []
      let running = true
      let jti = 0
      const present = (key: string, end: number) => outcome(store, key, end - Date.now() / 1000)
      async function load() {
        while (running) {
          const proofs = Array.from({ length: 4 }, () => ({
            key: proofKey('a', jti++),
            end: Date.now() / 1000 + 60,
          }))
          const answers = await Promise.all(proofs.map(({ key, end }) => present(key, end)))
          accepted.push(...proofs.filter((_, at) => answers[at] === true))
          await pause(1)
        }
      }
      const loads = Array.from({ length: 20 }, load)
      await eventually(async () => accepted.length > 20)
      await server.kill()
      const knownToTheDead = accepted.length
      const began = performance.now()
      expect(await outcome(store, proofKey('b', 1))).toBe('rejected')
      expect(performance.now() - began).toBeLessThan(3000)
      await pause(300)
      await server.restart()
      await eventually(async () => (await present(proofKey('b', jti++), Date.now() / 1000 + 60)) === true)
      await eventually(async () => accepted.length > knownToTheDead)
      running = false
      await Promise.all(loads)
      const replays = await Promise.all(accepted.map(({ key, end }) => present(key, end)))
      expect(replays.filter((answer) => answer === true)).toEqual([])
    })

    // The ports of stopped servers may meanwhile belong to servers of other tests.
    test('passes nothing after a failover to a replica that had missed the last proofs', {
      retry: 1,
    }, async ({ server, open }) => {
      const link = await startProxy(server.port)
      const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(link.port)] })
      const address = await startProxy(server.port)
      try {
        const store = await open(address.port, { timeout: 2 })
        await eventually(async () =>
          (await replica.send('INFO replication')).includes('master_link_status:up'),
        )
        const end = Date.now() / 1000 + 60
        const present = (jti: number) => outcome(store, proofKey('a', jti), end - Date.now() / 1000)
        expect(await present(1)).toBe(true)
        await eventually(async () => (await replica.send('DBSIZE')).startsWith(':1'))
        link.stop()
        expect(await present(2)).toBe(true)
        await server.kill()
        await replica.send('REPLICAOF NO ONE')
        expect(await replica.send('DBSIZE')).toBe(':1\r\n')
        address.retarget(replica.port)
        await eventually(async () => (await outcome(store, proofKey('b', Math.random()))) === true)
        expect(await present(1)).not.toBe(true)
        expect(await present(2)).not.toBe(true)
      } finally {
        link.stop()
        address.stop()
        await replica.stop()
      }
    })

    test('rejects on a read-only replica', async ({ server, open }) => {
      const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(server.port)] })
      const store = await open(replica.port, { timeout: 2 })
      await expect(store.ready()).rejects.toThrow('the server is a slave')
      await expect(store.remember('k', 60)).rejects.toThrow('the server is a slave')
      await replica.stop()
    })

    test('leaves nothing in the client to be sent when Redis comes late', async ({ closing }) => {
      const port = await freePort()
      const test = startClient(name, port)
      closing.push(test.close)
      const store = redisReplayStore(test.client, { timeout: 0.1 })
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, jti) => outcome(store, proofKey('a', jti))),
      )
      expect(new Set(answers)).toEqual(new Set(['rejected']))
      const late = await startRedis({ port })
      await eventually(async () => (await outcome(store, 'fresh')) !== 'rejected')
      expect(await late.send('DBSIZE')).toBe(':1\r\n')
      await late.stop()
    })

    test('is ready when Redis answers, and says so when it does not', async ({ server, open }) => {
      const store = await open(server.port, { timeout: 2 })
      await store.ready()
      await server.kill()
      await expect(store.ready()).rejects.toThrow()
    })
  },
)

// Alone, because they replace a function of the process.
describe.skipIf(!hasRedisServer).each(packages)(
  `redisReplayStore and its warnings, by %s${WITHOUT_REDIS}`,
  (name) => {
    testWithServer(name, { age: SETTLED })(
      'warns once where the server may evict entries',
      async ({ server, connect }) => {
        const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
        vi.resetModules()
        const fresh = await import('../../../src/stores/redis/index.js')
        await server.send('CONFIG SET maxmemory-policy allkeys-lru')
        for (let each = 0; each < 2; each++) {
          const { client } = await connect()
          await fresh.redisReplayStore(client).remember(`k${each}`, 60)
        }
        expect(warn).toHaveBeenCalledTimes(1)
        expect(warn).toHaveBeenCalledWith(expect.stringContaining('allkeys-lru'), {
          code: 'AJWT_REDIS_EVICTION',
        })
        warn.mockRestore()
      },
    )

    testWithServer(name)(
      'works for a user that may not ask INFO, and says what that costs',
      async ({ server, connect }) => {
        const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
        vi.resetModules()
        const fresh = await import('../../../src/stores/redis/index.js')
        const { client } = await connect()
        await server.send('ACL SETUSER default -info')
        expect(await fresh.redisReplayStore(client).remember('k', 60)).toBe(true)
        expect(warn).toHaveBeenCalledWith(expect.stringContaining('INFO'), { code: 'AJWT_REDIS_INFO' })
        warn.mockRestore()
      },
    )
  },
)
