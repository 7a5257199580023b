import { readdirSync, readFileSync } from 'node:fs'
import { Cluster } from 'ioredis'
import { createClientPool, createCluster, createSentinel } from 'redis'
import { describe, expect, it } from 'vitest'
import { type RedisClient, redisReplayStore, redisRevocations } from '../../../../src/stores/redis/index.js'

describe('ajwt/redis', () => {
  it.each([
    ['nothing', undefined],
    ['a string', 'redis://127.0.0.1'],
    ['an empty object', {}],
    ['a cluster of ioredis', new Cluster([{ host: '127.0.0.1', port: 1 }], { lazyConnect: true })],
    ['a cluster of redis', createCluster({ rootNodes: [] })],
    ['a pool of redis', createClientPool()],
    ['a Sentinel client of redis', createSentinel({ name: 'm', sentinelRootNodes: [] })],
  ])('throws for %s, which is no client of one server', (_title, client) => {
    expect(() => redisReplayStore(client as unknown as RedisClient)).toThrow(TypeError)
    expect(() => redisRevocations(client as unknown as RedisClient)).toThrow(TypeError)
  })

  it('imports neither client package: the user brings one', () => {
    const directory = new URL('../../../../src/stores/redis/', import.meta.url)
    for (const file of readdirSync(directory)) {
      expect(readFileSync(new URL(file, directory), 'utf8'), file).not.toMatch(
        /from '(?:ioredis|redis|@redis)/,
      )
    }
  })
})
