import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type RedisClient, type RedisRevocations, redisRevocations } from '../../../src/stores/redis/index.js'
import { freePort } from '../../support/program.js'
import { connectClient, packages, startClient, type TestClient } from '../../support/redis/clients.js'
import { startProxy } from '../../support/redis/proxy.js'
import { hasRedisServer, type RedisServer, startRedis, WITHOUT_REDIS } from '../../support/redis/server.js'

const agent = (id: string | number) => `agent:https://as.example.com ${id}`
const LOG = '{ajwt:revoked:}log'
const soon = () => Date.now() / 1000 + 60

async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 10_000
  while (!(await condition())) {
    if (performance.now() > end) throw new Error('did not come about within 10 s')
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

describe.skipIf(!hasRedisServer).each(packages)(
  `redisRevocations on a real server, by %s${WITHOUT_REDIS}`,
  (name) => {
    let server: RedisServer
    const clients: TestClient[] = []
    const lists: RedisRevocations[] = []

    async function open(port = server.port, options?: { maxStale?: number; prefix?: string }) {
      const test = await connectClient(name, port)
      clients.push(test)
      const list = redisRevocations(test.client, options)
      lists.push(list)
      return list
    }

    async function openReady(port?: number, options?: { maxStale?: number; prefix?: string }) {
      const list = await open(port, options)
      await list.ready()
      return list
    }

    beforeEach(async () => {
      server = await startRedis()
    })
    afterEach(async () => {
      server.thaw()
      await Promise.all(lists.splice(0).map((list) => list.close()))
      for (const each of clients.splice(0)) each.close()
      await server.stop()
    })

    it('tells its listeners in every process of what any process revokes', async () => {
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

    it('pushes a revocation to every list of the same prefix, and answers without asking', async () => {
      const [one, two] = [await openReady(), await openReady()]
      const other = await openReady(server.port, { prefix: 'other:' })
      await one.revoke(agent(1), soon())
      expect(one.isRevoked([agent(1)])).toBe(true)
      await eventually(() => two.isRevoked([agent(0), agent(1)]) === true)
      expect(two.isRevoked([agent(0)])).toBe(false)
      await pause(100)
      expect(other.isRevoked([agent(1)])).toBe(false)
    })

    it('loads the whole list at the start', async () => {
      const one = await openReady()
      await Promise.all(Array.from({ length: 3000 }, (_, id) => one.revoke(agent(id), soon())))
      const two = await openReady()
      for (let id = 0; id < 3000; id++) expect(two.isRevoked([agent(id)])).toBe(true)
      expect(two.isRevoked([agent(3000)])).toBe(false)
    })

    it('makes a request that comes before the first load wait for it', async () => {
      await (await openReady()).revoke(agent(1), soon())
      const list = await open(server.port, { maxStale: 30 })
      const [revoked, free] = [list.isRevoked([agent(1)]), list.isRevoked([agent(2)])]
      expect(revoked).toBeInstanceOf(Promise)
      expect(await revoked).toBe(true)
      expect(await free).toBe(false)
    })

    it('fails closed where Redis was never there, and recovers when it comes', async () => {
      const port = await freePort()
      const test = startClient(name, port)
      clients.push(test)
      const list = redisRevocations(test.client, { maxStale: 1 })
      lists.push(list)
      const began = performance.now()
      await expect(list.isRevoked([agent(1)])).rejects.toThrow('the list is out of date')
      expect(performance.now() - began).toBeLessThan(1000)
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

    it('forgets a revocation by itself, in Redis as well', async () => {
      const [one, two] = [await openReady(), await openReady()]
      await one.revoke(agent(1), Date.now() / 1000 + 1)
      await eventually(() => two.isRevoked([agent(1)]) === true)
      await eventually(() => two.isRevoked([agent(1)]) === false)
      expect(one.isRevoked([agent(1)])).toBe(false)
      await server.send(`ZADD {ajwt:revoked:}list ${Date.now() / 1000 - 4000} long-gone`)
      await one.revoke(agent(2), soon())
      expect(await server.send('ZSCORE {ajwt:revoked:}list long-gone')).toMatch(/^\$-1/)
    })

    it('takes a revocation back in every process, and takes it up again', async () => {
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

    it('agrees in every process, whatever the order in which they revoke and take back', async () => {
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

    it('gives back nothing that was taken back while its connection was lost', async () => {
      const proxy = await startProxy(server.port)
      const [cutOff, writer] = [await openReady(proxy.port), await openReady()]
      for (const id of [1, 2, 3]) await writer.revoke(agent(id), soon())
      await eventually(() => cutOff.isRevoked([agent(3)]) === true)
      proxy.retarget(1)
      await writer.unrevoke(agent(1))
      await writer.unrevoke(agent(2))
      await writer.revoke(agent(2), soon() - 30)
      // Longer than the log: what is left of it is not what tells.
      await server.send(`DEL ${LOG}`)
      expect(cutOff.isRevoked([agent(1)])).toBe(true)
      proxy.retarget(server.port)
      await eventually(() => answer(cutOff, agent(1)) === false)
      expect(cutOff.isRevoked([agent(2)])).toBe(true)
      expect(await cutOff.list()).toHaveLength(2)
      expect((await openReady()).isRevoked([agent(1)])).toBe(false)
      proxy.stop()
    })

    it('keeps what was revoked again where a server has lost only that', async () => {
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

    it('says nothing of what is revoked where it cannot know', async () => {
      const list = await openReady(server.port, { maxStale: 0.5 })
      await server.kill()
      await eventually(() =>
        list.list().then(
          () => false,
          () => true,
        ),
      )
    })

    it('lengthens a revocation, and never shortens it', async () => {
      const [one, two] = [await openReady(), await openReady()]
      await one.revoke(agent(1), soon())
      await two.revoke(agent(1), Date.now() / 1000 + 0.1)
      await pause(300)
      expect(one.isRevoked([agent(1)])).toBe(true)
      expect(two.isRevoked([agent(1)])).toBe(true)
      expect((await openReady()).isRevoked([agent(1)])).toBe(true)
    })

    it('misses nothing that is revoked while its connection is lost', async () => {
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

    it('answers from what it knows while Redis hangs, for maxStale, then fails closed, then recovers', async () => {
      const list = await openReady(server.port, { maxStale: 2 })
      await list.revoke(agent(1), soon())
      server.freeze()
      const began = performance.now()
      expect(list.isRevoked([agent(2)])).toBe(false)
      await eventually(() => answer(list, agent(2)) === 'unavailable')
      const seconds = (performance.now() - began) / 1000
      console.log(`${name}: fails closed ${seconds.toFixed(2)} s after SIGSTOP, with maxStale 2`)
      expect(seconds).toBeLessThan(2.5)
      expect(seconds).toBeGreaterThan(1)
      // What is known to be revoked stays so, whatever else may have been revoked since.
      expect(list.isRevoked([agent(1)])).toBe(true)
      server.thaw()
      await eventually(() => answer(list, agent(2)) === false)
    })

    it('survives a server that lost everything, and gives back to it what it knew', async () => {
      const list = await openReady()
      await list.revoke(agent(1), soon())
      await server.restart()
      await eventually(async () => (await server.send('ZCARD {ajwt:revoked:}list')) === ':1\r\n')
      expect(list.isRevoked([agent(1)])).toBe(true)
      expect((await openReady()).isRevoked([agent(1)])).toBe(true)
    })

    it('notices that the log was emptied under it, and goes on', async () => {
      const [one, two] = [await openReady(), await openReady()]
      for (let id = 0; id < 5; id++) await one.revoke(agent(id), soon())
      await server.send('FLUSHALL')
      await eventually(async () => (await server.send(`EXISTS ${LOG}`)) === ':1\r\n')
      await one.revoke(agent('later'), soon())
      await eventually(() => answer(two, agent('later')) === true)
      for (let id = 0; id < 5; id++) expect(two.isRevoked([agent(id)])).toBe(true)
    })

    it('loads anew where the log has a gap', async () => {
      const [one, two] = [await openReady(), await openReady()]
      await one.revoke(agent(1), soon())
      await eventually(() => two.isRevoked([agent(1)]) === true)
      await server.send(`ZADD {ajwt:revoked:}list ${soon()} agent:unlogged`)
      const [, begun] = /-(\d+)/.exec(await server.send(`XREVRANGE ${LOG} + - COUNT 1`)) as RegExpExecArray
      await server.send(`XADD ${LOG} 3-${begun} id agent:third until ${soon()} at ${Date.now() * 1000}`)
      await eventually(() => answer(two, 'agent:unlogged') === true)
    })

    it('starts where the beginning of the log is gone', async () => {
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

    it('notices a connection that is open and dead, and makes another', async () => {
      const proxy = await startProxy(server.port)
      const list = await openReady(proxy.port)
      const writer = await openReady()
      proxy.silence()
      await writer.revoke(agent(1), soon())
      expect(list.isRevoked([agent(1)])).toBe(false)
      await eventually(() => answer(list, agent(1)) === true)
      proxy.stop()
    })

    it('does not follow a replica, which may be behind', async () => {
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

    it('rejects revoke() where Redis does not take it', async () => {
      const list = await openReady()
      await server.kill()
      await expect(list.revoke(agent(1), soon())).rejects.toThrow()
      expect(answer(list, agent(1))).toBe(false)
      await expect(list.revoke('jti-1', soon())).rejects.toThrow(TypeError)
      await expect(list.revoke(agent(1), Date.now())).rejects.toThrow(TypeError)
    })

    it('closes its connection, and only that', async () => {
      const list = await openReady(server.port, { maxStale: 0.3 })
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

describe('redisRevocations, its arguments', () => {
  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])('throws for a maxStale of %s', (maxStale) => {
    const client = { status: 'ready', call: async () => null } as unknown as RedisClient
    expect(() => redisRevocations(client, { maxStale })).toThrow(TypeError)
  })
})
