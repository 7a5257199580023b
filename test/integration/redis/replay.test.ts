import { EventEmitter } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { type RedisClient, type RedisReplayStore, redisReplayStore } from '../../../src/stores/redis/index.js'
import { freePort } from '../../support/program.js'
import { packages, startClient } from '../../support/redis/clients.js'
import { proofKey } from '../../support/redis/keys.js'
import { startProxy } from '../../support/redis/proxy.js'
import { hasRedisServer, startRedis, WITHOUT_REDIS } from '../../support/redis/server.js'
import { testWithServer } from '../../support/redis/with-server.js'

/** Milliseconds after which a server is known to have been up before a proof was made. */
const SETTLED = 2100
const INFO = 'run_id:1\r\nrole:master\r\nuptime_in_seconds:3600\r\nmaxmemory_policy:noeviction\r\n'

/** A client in the shape of ioredis that answers INFO, and everything else with what `reply` gives. */
function fakeClient(reply: () => Promise<unknown>, info = async () => INFO) {
  const calls: string[][] = []
  const events = new EventEmitter()
  const client = {
    status: 'ready',
    on: (event: string, listener: () => void) => events.on(event, listener),
    duplicate: () => client,
    connect: async () => {},
    disconnect: () => {},
    call(...args: string[]) {
      if (args[0] === 'INFO') return info()
      calls.push(args)
      return reply()
    },
  }
  return { client: client as RedisClient, calls, emit: (event: string) => events.emit(event) }
}

/** What came of a call: true, false, or that it rejected. */
async function outcome(store: RedisReplayStore, key: string, ttl = 60): Promise<boolean | 'rejected'> {
  return store.remember(key, ttl).catch(() => 'rejected' as const)
}

async function eventually(condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 30_000
  while (!(await condition())) {
    if (performance.now() > end) throw new Error('did not come about within 30 s')
    await pause(20)
  }
}

describe('redisReplayStore, what a reply means', () => {
  it.each([
    ['OK', true],
    [null, false],
    [Buffer.from('OK'), true],
    [new TextEncoder().encode('OK'), true],
    [Object('OK'), true],
  ])('takes %j for %s', async (reply, expected) => {
    expect(await redisReplayStore(fakeClient(async () => reply).client).remember('k', 60)).toBe(expected)
  })

  it.each([
    ['ok'],
    ['QUEUED'],
    [''],
    [1],
    [0],
    [true],
    [false],
    [undefined],
    [[]],
    [['OK']],
    [{}],
    [Buffer.from('ok')],
  ])('rejects for %j', async (reply) => {
    const store = redisReplayStore(fakeClient(async () => reply).client)
    await expect(store.remember('k', 60)).rejects.toThrow('unexpected reply')
  })

  it.each(['MOVED 1 127.0.0.1:7001', 'OOM command not allowed', 'READONLY You can not write', 'LOADING'])(
    'rejects for the error %s',
    async (message) => {
      const store = redisReplayStore(fakeClient(() => Promise.reject(new Error(message))).client)
      await expect(store.remember('k', 60)).rejects.toThrow(message)
    },
  )

  it('sends one SET, with the prefix, and a PX no shorter than the ttl', async () => {
    const { client, calls } = fakeClient(async () => 'OK')
    await redisReplayStore(client, { prefix: 'p:', timeout: 0.25 }).remember('k', 64.0001)
    expect(calls).toEqual([['SET', 'p:k', '1', 'NX', 'PX', '64251']])
  })

  it.each([Number.NaN, 0, -1, Number.POSITIVE_INFINITY, 1e300])(
    'refuses a ttl of %s without asking',
    async (ttl) => {
      const { client, calls } = fakeClient(async () => 'OK')
      expect(await redisReplayStore(client).remember('k', ttl)).toBe(false)
      expect(calls).toEqual([])
    },
  )

  it('rejects at the deadline, and a reply that comes later changes nothing', async () => {
    const store = redisReplayStore(fakeClient(() => pause(1500, 'OK')).client, { timeout: 0.05 })
    const began = performance.now()
    await expect(store.remember('k', 60)).rejects.toThrow('no answer from Redis within 0.05 s')
    expect(performance.now() - began).toBeLessThan(1400)
    const failing = redisReplayStore(
      fakeClient(() => pause(100).then(() => Promise.reject(new Error('late')))).client,
      {
        timeout: 0.02,
      },
    )
    await expect(failing.remember('k', 60)).rejects.toThrow('no answer')
    await pause(200)
  })

  it.each(['close', 'reconnecting', 'end'])(
    'trusts no reply to what was sent before the event %s',
    async (event) => {
      for (const reply of ['OK', null]) {
        const { client, emit } = fakeClient(() => pause(50, reply))
        const store = redisReplayStore(client)
        await store.ready()
        const asked = store.remember('k', 60)
        await Promise.resolve()
        emit(event)
        await expect(asked).rejects.toThrow('the connection changed')
        expect(await store.remember('k', 60)).toBe(reply === 'OK')
      }
    },
  )

  it('asks again who the server is where the connection was lost before the answer', async () => {
    let asked = 0
    const info = async () => {
      asked += 1
      if (asked === 1) emit('close')
      return INFO
    }
    const { client, emit } = fakeClient(async () => 'OK', info)
    expect(await redisReplayStore(client).remember('k', 60)).toBe(true)
    expect(asked).toBe(2)
  })

  it('sends no more than ten thousand commands that nobody answers', async () => {
    const { client, calls } = fakeClient(() => new Promise(() => {}))
    const store = redisReplayStore(client, { timeout: 2 })
    await store.ready()
    const asked = Array.from({ length: 10_000 }, (_, jti) => outcome(store, `k${jti}`))
    await expect(store.remember('one more', 60)).rejects.toThrow('10000 calls are pending')
    expect(calls).toHaveLength(10_000)
    expect(new Set(await Promise.all(asked))).toEqual(new Set(['rejected']))
  })

  it.each([0, -1, Number.NaN, 61, Number.POSITIVE_INFINITY])('throws for a timeout of %s', (timeout) => {
    expect(() => redisReplayStore(fakeClient(async () => 'OK').client, { timeout })).toThrow(TypeError)
  })
})

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
      const left = Number((await server.send('PTTL ajwt:replay:k')).slice(1))
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
      async function load() {
        while (running) {
          const each = jti++
          const began = performance.now()
          const answer = await outcome(store, proofKey('a', each))
          if (answer === 'rejected') slowest = Math.max(slowest, performance.now() - began)
          if (answer === true) accepted.add(each)
          else if (answer === 'rejected') rejected.add(each)
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
          const proof = { key: proofKey('a', jti++), end: Date.now() / 1000 + 60 }
          if ((await present(proof.key, proof.end)) === true) accepted.push(proof)
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

    test('passes nothing after a failover to a replica that had missed the last proofs', async ({
      server,
      open,
    }) => {
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
