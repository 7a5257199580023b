import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { createClient, RESP_TYPES } from 'redis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type RedisClient, redisReplayStore, redisRevocations } from '../../../src/stores/redis/index.js'
import { proofKey } from '../../support/redis/keys.js'
import { hasRedisServer, type RedisServer, startRedis, WITHOUT_REDIS } from '../../support/redis/server.js'

const bytes = { [RESP_TYPES.BLOB_STRING]: Buffer, [RESP_TYPES.SIMPLE_STRING]: Buffer }

/** Clients that give replies in other types than their defaults do. */
const clients: Record<string, (port: number) => Promise<[client: RedisClient, close: () => void]>> = {
  'redis with RESP2 and Buffers': (port) => nodeRedis(port, 2, bytes),
  'redis with RESP3 and Buffers': (port) => nodeRedis(port, 3, bytes),
  'redis with RESP3, Maps and numbers as text': (port) =>
    nodeRedis(port, 3, {
      [RESP_TYPES.MAP]: Map,
      [RESP_TYPES.NUMBER]: String,
      [RESP_TYPES.DOUBLE]: String,
    }),
  'redis with RESP3 and maps as arrays': (port) => nodeRedis(port, 3, { [RESP_TYPES.MAP]: Array }),
  'ioredis with numbers as text': (port) => ioredis(port, { stringNumbers: true }),
  'ioredis with Buffers': async (port) => {
    const [client, close] = await ioredis(port, {})
    return [withBuffers(client), close]
  },
  'ioredis with Uint8Arrays': async (port) => {
    const [client, close] = await ioredis(port, {})
    return [withBuffers(client, (buffer) => new Uint8Array(buffer)), close]
  },
}

async function nodeRedis(
  port: number,
  RESP: 2 | 3,
  typeMapping: object,
): Promise<[client: RedisClient, close: () => void]> {
  const client = createClient({ socket: { host: '127.0.0.1', port }, RESP, commandOptions: { typeMapping } })
  client.on('error', () => {})
  await client.connect()
  // A duplicate for the log would lose the mapping: this one keeps it.
  const duplicate = client.duplicate.bind(client)
  client.duplicate = ((overrides: object) =>
    duplicate({ ...overrides, commandOptions: { typeMapping } } as never)) as never
  return [client as unknown as RedisClient, () => client.destroy()]
}

async function ioredis(port: number, options: object): Promise<[client: Redis, close: () => void]> {
  const client = new Redis(port, '127.0.0.1', options)
  client.on('error', () => {})
  await once(client, 'ready')
  return [client, () => client.disconnect()]
}

/** The same client, whose `call` is `callBuffer`. */
function withBuffers(client: Redis, to: (buffer: Buffer) => Uint8Array = (buffer) => buffer): RedisClient {
  const convert = (reply: unknown): unknown =>
    Buffer.isBuffer(reply) ? to(reply) : Array.isArray(reply) ? reply.map(convert) : reply
  return new Proxy(client, {
    get(target, name) {
      if (name === 'call') {
        return async (command: string, ...args: string[]) =>
          convert(await target.callBuffer(command, ...args))
      }
      if (name === 'duplicate') return (options: object) => withBuffers(target.duplicate(options), to)
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  }) as unknown as RedisClient
}

let server: RedisServer
beforeAll(async () => {
  if (!hasRedisServer) return
  server = await startRedis()
  await pause(2100)
})
afterAll(() => server?.stop())

describe.skipIf(!hasRedisServer).each(Object.keys(clients))(`%s${WITHOUT_REDIS}`, (name) => {
  const prefix = `${name}:`
  const closing: (() => unknown)[] = []

  async function open(): Promise<RedisClient> {
    const [client, close] = await (clients[name] as (typeof clients)[string])(server.port)
    closing.push(close)
    return client
  }

  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close()
  })

  it('accepts a proof once', async () => {
    const store = redisReplayStore(await open())
    await store.ready()
    expect(await store.remember(proofKey('a', name), 60)).toBe(true)
    expect(await store.remember(proofKey('a', name), 60)).toBe(false)
  })

  it('loads, follows, lists and takes back revocations', async () => {
    const [one, two] = [
      redisRevocations(await open(), { prefix }),
      redisRevocations(await open(), { prefix }),
    ]
    closing.push(one.close, two.close)
    await Promise.all([one.ready(), two.ready()])
    const id = 'agent:https://as.example.com 1'
    const until = Math.floor(Date.now() / 1000) + 60.5
    await one.revoke(id, until)
    while (two.isRevoked([id]) !== true) await pause(5)
    expect(await two.list()).toEqual([{ id, until }])
    const three = redisRevocations(await open(), { prefix })
    closing.push(three.close)
    await three.ready()
    expect(await three.list()).toEqual([{ id, until }])
    await three.unrevoke(id)
    while (two.isRevoked([id]) !== false) await pause(5)
    expect(await one.list()).toEqual([])
  })
})
