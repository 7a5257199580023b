import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { redisSessionStore } from '../../../src/stores/redis/index.js'
import { connectClient, packages, type TestClient } from '../../support/redis/clients.js'
import { hasRedisServer, type RedisServer, startRedis, WITHOUT_REDIS } from '../../support/redis/server.js'

const OWNER = '["https://as.example.com","a","a","Zo\u00eb"]'

describe.skipIf(!hasRedisServer).each(packages)(
  `redisSessionStore on a real server, by %s${WITHOUT_REDIS}`,
  (name) => {
    let server: RedisServer
    let test: TestClient
    beforeAll(async () => {
      server = await startRedis()
      test = await connectClient(name, server.port)
    })
    afterAll(async () => {
      test.close()
      await server.stop()
    })

    it('shares the owners of ids between processes, until they are deleted', async () => {
      const [one, other] = [redisSessionStore(test.client), redisSessionStore(test.client)]
      expect(await other.get('s1')).toBeUndefined()
      await one.set('s1', OWNER)
      await other.set('s1', OWNER)
      expect([await one.get('s1'), await other.get('s1')]).toEqual([OWNER, OWNER])
      await other.delete('s1')
      expect(await one.get('s1')).toBeUndefined()
    })

    it('gives no id away, to one of two that ask at once', async () => {
      const store = redisSessionStore(test.client)
      const settled = await Promise.allSettled([store.set('s2', 'a'), store.set('s2', 'b')])
      expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
      expect(await store.get('s2')).toBe('a')
      await expect(store.set('s2', 'b')).rejects.toThrow('the id has another owner')
    })

    it('keeps an id for its ttl after the last use, under a digest', async () => {
      const store = redisSessionStore(test.client, { prefix: 'mcp:', ttl: 100 })
      await store.set('secret id', OWNER)
      const key = /mcp:[\w-]{43}(?=\r)/.exec(await server.send('KEYS mcp:*'))?.[0]
      await server.send(`EXPIRE ${key} 5`)
      expect(await store.get('secret id')).toBe(OWNER)
      expect(await server.send(`TTL ${key}`)).toMatch(/^:(9\d|100)\r/)
    })

    it('rejects while Redis does not answer', async () => {
      const store = redisSessionStore(test.client, { timeout: 0.1 })
      await store.set('s3', OWNER)
      server.freeze()
      try {
        await expect(store.get('s3')).rejects.toThrow('no answer from Redis within 0.1 s')
        await expect(store.set('s4', OWNER)).rejects.toThrow('no answer from Redis within 0.1 s')
      } finally {
        server.thaw()
      }
    })
  },
)

describe('redisSessionStore, its arguments', () => {
  const client = { call: async () => null, status: 'ready', duplicate: () => client } as never
  it.each([{ ttl: 0 }, { ttl: 1.5 }, { timeout: 0 }, { timeout: 61 }])('refuses %o', (options) => {
    expect(() => redisSessionStore(client, options)).toThrow(TypeError)
  })
})
