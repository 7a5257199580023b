import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { type RedisClient, type RedisRevocations, redisRevocations } from '../../../src/stores/redis/index.js'
import { freePort } from '../../support/program.js'
import { type Package, packages, startClient } from '../../support/redis/clients.js'
import { startProxy } from '../../support/redis/proxy.js'
import { hasRedisServer, startRedis, WITHOUT_REDIS } from '../../support/redis/server.js'
import { testWithServer } from '../../support/redis/with-server.js'

const agent = (id: string | number) => `agent:https://as.example.com ${id}`
const LOG = '{ajwt:revoked:}log'
const soon = () => Date.now() / 1000 + 60

async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 30_000
  while (!(await condition())) {
    if (performance.now() > end) throw new Error('did not come about within 30 s')
    await pause(10)
  }
}

/** Whether the list answers at all: true, false, or that it threw. */
function answer(list: RedisRevocations, id: string): unknown {
  try {
    return list.isRevoked([id])
  } catch {
    return 'unavailable'
  }
}

type Open = (port?: number, options?: { maxStale?: number; prefix?: string }) => Promise<RedisRevocations>

/** A test with a server, and lists that follow it as processes do. */
const testWithLists = (name: Package) =>
  testWithServer(name).extend<{ open: Open; openReady: Open }>({
    open: async ({ connect, closing }, use) => {
      await use(async (port, options) => {
        const list = redisRevocations((await connect(port)).client, options)
        closing.push(list.close)
        return list
      })
    },
    openReady: async ({ open }, use) => {
      await use(async (port, options) => {
        const list = await open(port, options)
        await list.ready()
        return list
      })
    },
  })

describe.skipIf(!hasRedisServer).concurrent.each(packages)(
  `redisRevocations on a real server, by %s${WITHOUT_REDIS}`,
  (name) => {
    const test = testWithLists(name)

    test('tells its listeners in every process of what any process revokes', async ({ openReady }) => {
      const [one, other] = [await openReady(), await openReady()]
      const heard: string[] = []
      const end = other.onRevoked((id) => heard.push(id))
      await one.revoke(agent('first'), soon())
      await eventually(() => heard.length === 1)
      end()
      await one.revoke(agent('second'), soon())
      await eventually(() => other.isRevoked([agent('second')]))
      expect(heard).toEqual([agent('first')])
    })

    test('pushes a revocation to every list of the same prefix, and answers without asking', async ({
      server,
      openReady,
    }) => {
      const [one, two] = [await openReady(), await openReady()]
      const other = await openReady(server.port, { prefix: 'other:' })
      await one.revoke(agent(1), soon())
      expect(one.isRevoked([agent(1)])).toBe(true)
      await eventually(() => two.isRevoked([agent(0), agent(1)]) === true)
      expect(two.isRevoked([agent(0)])).toBe(false)
      await pause(100)
      expect(other.isRevoked([agent(1)])).toBe(false)
    })

    test('fails closed where Redis was never there, and recovers when it comes', async ({ closing }) => {
      const port = await freePort()
      const { client, close } = startClient(name, port)
      closing.push(close)
      // A request waits for the first load for 0.25 s at most, not for maxStale.
      const list = redisRevocations(client, { maxStale: 3 })
      closing.push(list.close)
      const began = performance.now()
      await expect(list.isRevoked([agent(1)])).rejects.toThrow('the list is out of date')
      expect(performance.now() - began).toBeLessThan(2500)
      await expect(list.ready()).rejects.toThrow('the list is out of date')
      const late = await startRedis({ port })
      await eventually(() =>
        list.ready().then(
          () => true,
          () => false,
        ),
      )
      expect(list.isRevoked([agent(1)])).toBe(false)
      await list.close()
      await late.stop()
    })

    test('forgets a revocation by itself, in Redis as well', async ({ server, openReady }) => {
      const [one, two] = [await openReady(), await openReady()]
      await one.revoke(agent(1), Date.now() / 1000 + 2)
      await eventually(() => two.isRevoked([agent(1)]) === true)
      await eventually(() => two.isRevoked([agent(1)]) === false)
      expect(one.isRevoked([agent(1)])).toBe(false)
      await server.send(`ZADD {ajwt:revoked:}list ${Date.now() / 1000 - 4000} long-gone`)
      await one.revoke(agent(2), soon())
      expect(await server.send('ZSCORE {ajwt:revoked:}list long-gone')).toMatch(/^\$-1/)
    })

    test('takes a revocation back in every process, and takes it up again', async ({ openReady }) => {
      const [one, two] = [await openReady(), await openReady()]
      const until = soon()
      await one.revoke(agent(1), until)
      await one.revoke(agent(2), until)
      await eventually(() => two.isRevoked([agent(1)]) === true && two.isRevoked([agent(2)]) === true)
      await two.unrevoke(agent(1))
      expect(two.isRevoked([agent(1)])).toBe(false)
      await eventually(() => one.isRevoked([agent(1)]) === false)
      expect(await one.list()).toEqual([{ id: agent(2), until }])
      expect(await two.list()).toEqual([{ id: agent(2), until }])
      expect((await openReady()).isRevoked([agent(1)])).toBe(false)
      // A shorter time than before: the earlier one is over.
      const shorter = soon() - 30
      await one.revoke(agent(1), shorter)
      await eventually(() => two.isRevoked([agent(1)]) === true)
      for (const list of [one, two, await openReady()]) {
        expect(await list.list()).toContainEqual({ id: agent(1), until: shorter })
      }
      await one.unrevoke(agent('never revoked'))
      await expect(one.unrevoke('jti-1')).rejects.toThrow(TypeError)
    })

    test('gives back nothing that was taken back while its connection was lost', async ({
      server,
      openReady,
    }) => {
      const proxy = await startProxy(server.port)
      const [cutOff, writer] = [await openReady(proxy.port), await openReady()]
      for (const id of [1, 2, 3]) await writer.revoke(agent(id), soon())
      await eventually(() => cutOff.isRevoked([agent(3)]) === true)
      proxy.retarget(1)
      await writer.unrevoke(agent(1))
      await writer.unrevoke(agent(2))
      await writer.revoke(agent(2), soon() - 30)
      // Longer than the log: the rest of the log is not enough.
      await server.send(`DEL ${LOG}`)
      expect(cutOff.isRevoked([agent(1)])).toBe(true)
      proxy.retarget(server.port)
      await eventually(() => answer(cutOff, agent(1)) === false)
      expect(cutOff.isRevoked([agent(2)])).toBe(true)
      expect(await cutOff.list()).toHaveLength(2)
      expect((await openReady()).isRevoked([agent(1)])).toBe(false)
      proxy.stop()
    })

    test('keeps what was revoked again where a server has lost only that', async ({ server, openReady }) => {
      const [one, two] = [await openReady(), await openReady()]
      await one.revoke(agent(1), soon())
      await one.unrevoke(agent(1))
      const until = soon() - 30
      await one.revoke(agent(1), until)
      await eventually(async () => (await two.list()).length === 1)
      await server.send(`ZREMRANGEBYRANK {ajwt:revoked:}list 0 -1`)
      await server.send(`DEL ${LOG}`)
      await eventually(async () => (await server.send('ZCARD {ajwt:revoked:}list')) === ':1\r\n')
      expect(await (await openReady()).list()).toEqual([{ id: agent(1), until }])
    })

    test('says nothing of what is revoked where it cannot know', async ({ server, openReady }) => {
      const list = await openReady(server.port, { maxStale: 2 })
      await server.kill()
      await eventually(() =>
        list.list().then(
          () => false,
          () => true,
        ),
      )
    })

    test('lengthens a revocation, and never shortens it', async ({ openReady }) => {
      const [one, two] = [await openReady(), await openReady()]
      await one.revoke(agent(1), soon())
      await two.revoke(agent(1), Date.now() / 1000 + 0.1)
      await pause(300)
      expect(one.isRevoked([agent(1)])).toBe(true)
      expect(two.isRevoked([agent(1)])).toBe(true)
      expect((await openReady()).isRevoked([agent(1)])).toBe(true)
    })

    test('answers from what it knows while Redis hangs, for maxStale, then fails closed, then recovers', async ({
      server,
      openReady,
    }) => {
      const list = await openReady(server.port, { maxStale: 2 })
      await list.revoke(agent(1), soon())
      server.freeze()
      const began = performance.now()
      expect(list.isRevoked([agent(2)])).toBe(false)
      await eventually(() => answer(list, agent(2)) === 'unavailable')
      const seconds = (performance.now() - began) / 1000
      console.log(`${name}: fails closed ${seconds.toFixed(2)} s after SIGSTOP, with maxStale 2`)
      expect(seconds).toBeLessThan(3.5)
      expect(seconds).toBeGreaterThan(1)
      // A known revocation stays, even if others are unknown.
      expect(list.isRevoked([agent(1)])).toBe(true)
      server.thaw()
      await eventually(() => answer(list, agent(2)) === false)
    })

    test('survives a server that lost everything, and gives back to it what it knew', async ({
      server,
      openReady,
    }) => {
      const list = await openReady()
      await list.revoke(agent(1), soon())
      await server.restart()
      await eventually(async () => (await server.send('ZCARD {ajwt:revoked:}list')) === ':1\r\n')
      expect(list.isRevoked([agent(1)])).toBe(true)
      expect((await openReady()).isRevoked([agent(1)])).toBe(true)
    })

    test('notices that the log was emptied under it, and goes on', async ({ server, openReady }) => {
      const [one, two] = [await openReady(), await openReady()]
      for (let id = 0; id < 5; id++) await one.revoke(agent(id), soon())
      await server.send('FLUSHALL')
      await eventually(async () => (await server.send(`EXISTS ${LOG}`)) === ':1\r\n')
      await one.revoke(agent('later'), soon())
      await eventually(() => answer(two, agent('later')) === true)
      for (let id = 0; id < 5; id++) expect(two.isRevoked([agent(id)])).toBe(true)
    })

    test('loads anew where the log has a gap', async ({ server, openReady }) => {
      const [one, two] = [await openReady(), await openReady()]
      await one.revoke(agent(1), soon())
      await eventually(() => two.isRevoked([agent(1)]) === true)
      await server.send(`ZADD {ajwt:revoked:}list ${soon()} agent:unlogged`)
      const [, begun] = /-(\d+)/.exec(await server.send(`XREVRANGE ${LOG} + - COUNT 1`)) as RegExpExecArray
      await server.send(`XADD ${LOG} 3-${begun} id agent:third until ${soon()} at ${Date.now() * 1000}`)
      await eventually(() => answer(two, 'agent:unlogged') === true)
    })

    test('starts where the beginning of the log is gone', async ({ server, openReady }) => {
      await server.send(`XADD ${LOG} 500-7 id agent:gone until ${soon()} at 1`)
      const list = await openReady()
      await list.revoke(agent(1), soon())
      const other = await openReady()
      await list.revoke(agent(2), soon())
      await eventually(() => other.isRevoked([agent(2)]) === true)
      expect(await server.send(`XREVRANGE ${LOG} + - COUNT 1`)).toContain('502-7')
      // It follows, rather than load again and again: the connections are the same ones a while later.
      const followers = async () =>
        (await server.send('CLIENT LIST')).match(/^id=\d+(?=.* cmd=(?:xread|xrevrange) )/gm)
      const before = await followers()
      await pause(300)
      expect(await followers()).toEqual(before)
    })

    test('notices a connection that is open and dead, and makes another', async ({ server, openReady }) => {
      const proxy = await startProxy(server.port)
      const list = await openReady(proxy.port)
      const writer = await openReady()
      proxy.silence()
      await writer.revoke(agent(1), soon())
      expect(list.isRevoked([agent(1)])).toBe(false)
      await eventually(() => answer(list, agent(1)) === true)
      proxy.stop()
    })

    test('does not follow a replica, which may be behind', async ({ server, open }) => {
      const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(server.port)] })
      const list = await open(replica.port, { maxStale: 0.5 })
      await expect(list.ready()).rejects.toThrow('the list is out of date')
      await replica.send('REPLICAOF NO ONE')
      await eventually(() =>
        list.ready().then(
          () => true,
          () => false,
        ),
      )
      await list.close()
      await replica.stop()
    })

    test('rejects revoke() where Redis does not take it', async ({ server, openReady }) => {
      const list = await openReady()
      await server.kill()
      await expect(list.revoke(agent(1), soon())).rejects.toThrow()
      expect(answer(list, agent(1))).toBe(false)
      await expect(list.revoke('jti-1', soon())).rejects.toThrow(TypeError)
      await expect(list.revoke(agent(1), Date.now())).rejects.toThrow(TypeError)
    })

    test('closes its connection, and only that', async ({ server, openReady }) => {
      const list = await openReady(server.port, { maxStale: 2 })
      const connections = async () =>
        (await server.send('CLIENT LIST')).split('\n').filter((line) => line.includes('id='))
      const before = (await connections()).length
      await list.close()
      await eventually(async () => (await connections()).length === before - 1)
      await eventually(() => answer(list, agent(1)) === 'unavailable')
      await expect(list.ready()).rejects.toThrow()
    })
  },
)

// One after the other: they have short deadlines, or a lot to do before one.
describe.skipIf(!hasRedisServer).each(packages)(
  `redisRevocations with many entries, and at the first load, by %s${WITHOUT_REDIS}`,
  (name) => {
    const test = testWithLists(name)

    test('loads the whole list at the start', async ({ openReady }) => {
      const one = await openReady()
      // Some at a time, because each has 2 s.
      for (let from = 0; from < 3000; from += 300) {
        await Promise.all(Array.from({ length: 300 }, (_, id) => one.revoke(agent(from + id), soon())))
      }
      const two = await openReady()
      for (let id = 0; id < 3000; id++) expect(two.isRevoked([agent(id)])).toBe(true)
      expect(two.isRevoked([agent(3000)])).toBe(false)
    })

    test('agrees in every process, whatever the order in which they revoke and take back', async ({
      openReady,
    }) => {
      const lists = [await openReady(), await openReady(), await openReady()]
      const changes = Array.from({ length: 300 }, (_, change) => {
        const list = lists[change % 3] as RedisRevocations
        const id = agent(change % 7)
        return change % 2 === 0 ? list.revoke(id, soon() + change) : list.unrevoke(id)
      })
      await Promise.all(changes)
      await lists[0]?.revoke(agent('end'), soon())
      await eventually(() => lists.every((list) => list.isRevoked([agent('end')]) === true))
      const sorted = async (list: RedisRevocations) =>
        (await list.list()).sort((a, b) => a.id.localeCompare(b.id))
      const loaded = await sorted(await openReady())
      for (const list of lists) expect(await sorted(list)).toEqual(loaded)
    })

    test('misses nothing that is revoked while its connection is lost', async ({ server, openReady }) => {
      const proxy = await startProxy(server.port)
      const cutOff = await openReady(proxy.port)
      const writer = await openReady()
      for (let round = 0; round < 5; round++) {
        const writes = Array.from({ length: 50 }, (_, id) => writer.revoke(agent(`${round}-${id}`), soon()))
        proxy.cut()
        await Promise.all(writes)
        await eventually(() => answer(cutOff, agent(`${round}-49`)) === true)
        for (let id = 0; id < 50; id++) expect(cutOff.isRevoked([agent(`${round}-${id}`)])).toBe(true)
      }
      proxy.stop()
    })

    test('makes a request that comes before the first load wait for it', async ({
      server,
      open,
      openReady,
    }) => {
      await (await openReady()).revoke(agent(1), soon())
      const list = await open(server.port, { maxStale: 30 })
      const [revoked, free] = [list.isRevoked([agent(1)]), list.isRevoked([agent(2)])]
      expect(revoked).toBeInstanceOf(Promise)
      expect(await revoked).toBe(true)
      expect(await free).toBe(false)
    })
  },
)

describe('redisRevocations, its arguments', () => {
  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])('throws for a maxStale of %s', (maxStale) => {
    const client = { status: 'ready', call: async () => null } as unknown as RedisClient
    expect(() => redisRevocations(client, { maxStale })).toThrow(TypeError)
  })
})
