import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type RedisClient, redisAdapter } from '../../stores/redis/client.js'
import { redisRevocations } from '../../stores/redis/revocations.js'

import { messageOf, UsageError } from '../usage-error.js'

/** The stores of a fleet, read and never written. */
export interface OpenRedis {
  /** Undefined where the list cannot be read from this server. */
  readonly isRevoked: ((ids: string[]) => boolean | Promise<boolean>) | undefined
  /** Why the replay store cannot take a proof, as far as the server tells without a write. */
  readonly problem: string | undefined
  close(): Promise<void>
}

/** Connects with the client of the project in the working directory: `redis` or `ioredis`. */
export async function openRedis(url: string, prefix: string | undefined): Promise<OpenRedis> {
  const { client, close } = await connect(url)
  const { command } = redisAdapter(client)
  const problem = problemIn(String(await command('INFO')))
  // A server that is no primary has no list to rely on: redisRevocations waits for another one.
  const revocations =
    problem === undefined ? redisRevocations(client, prefix === undefined ? {} : { prefix }) : undefined
  return {
    isRevoked: revocations && ((ids) => revocations.isRevoked(ids)),
    problem,
    async close() {
      await revocations?.close()
      close()
    },
  }
}

function problemIn(info: string): string | undefined {
  const field = (name: string) => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1]
  if (field('role') === 'slave' && field('slave_read_only') !== '0') {
    const master = `${field('master_host')}:${field('master_port')}`
    return `Redis is a read-only replica of ${master}, so that no proof can be recorded (READONLY): connect the API to the primary, or promote this server`
  }
  if (field('rdb_last_bgsave_status') === 'err' || field('aof_last_write_status') === 'err')
    return 'Redis cannot save to disk, and may refuse writes (MISCONF): look at its disk and its log'
  const [used, most] = [Number(field('used_memory')), Number(field('maxmemory'))]
  if (most > 0 && used >= most)
    return 'Redis has used up its maxmemory, and refuses writes (OOM): give it more memory'
  if (field('loading') === '1') return 'Redis is loading its data, and answers nothing yet (LOADING): wait'
  return undefined
}

async function connect(url: string): Promise<{ client: RedisClient; close: () => void }> {
  const { resolve } = createRequire(join(process.cwd(), 'package.json'))
  for (const name of ['redis', 'ioredis']) {
    let module: Record<string, unknown>
    try {
      module = await import(pathToFileURL(resolve(name)).href)
    } catch {
      continue
    }
    try {
      return name === 'redis' ? await connectNodeRedis(module, url) : await connectIoredis(module, url)
    } catch (error) {
      throw new UsageError(`--redis: no connection: ${messageOf(error)}`)
    }
  }
  throw new UsageError('--redis needs the package redis or ioredis in this project: npm install redis')
}

async function connectNodeRedis(module: Record<string, unknown>, url: string) {
  const { createClient } = (module.createClient ? module : module.default) as {
    createClient(options: object): RedisClient & { connect(): Promise<unknown>; destroy(): void; on: Listen }
  }
  const client = createClient({ url, socket: { connectTimeout: 5000, reconnectStrategy: false } })
  client.on('error', () => {})
  await client.connect()
  return { client, close: () => client.destroy() }
}

async function connectIoredis(module: Record<string, unknown>, url: string) {
  const Redis = (module.Redis ?? module.default) as new (
    url: string,
    options: object,
  ) => RedisClient & { connect(): Promise<unknown>; disconnect(): void; on: Listen }
  const client = new Redis(url, { lazyConnect: true, connectTimeout: 5000, retryStrategy: () => null })
  client.on('error', () => {})
  await client.connect()
  return { client, close: () => client.disconnect() }
}

type Listen = (event: string, listener: () => void) => unknown
