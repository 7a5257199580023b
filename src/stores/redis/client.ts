import { plainReply } from './reply.js'

/** What is used of a `Redis` of the package `ioredis`. */
export interface IoredisClient {
  readonly status: string
  call(command: string, ...args: string[]): Promise<unknown>
  duplicate(override?: object): unknown
  connect(): Promise<unknown>
  disconnect(): void
  on(event: string, listener: () => void): unknown
}

/** What is used of a client that `createClient` of the package `redis` makes. */
export interface NodeRedisClient {
  readonly isReady: boolean
  readonly options?: object
  sendCommand(args: readonly string[]): Promise<unknown>
  select(database: number): Promise<unknown>
  duplicate(overrides?: object): unknown
  connect(): Promise<unknown>
  destroy(): void
  on(event: string, listener: () => void): unknown
}

/** A client of one Redis or Valkey server: `new Redis(...)` of ioredis 5 or later, `createClient(...)` of redis 5 or later. */
export type RedisClient = IoredisClient | NodeRedisClient

/** The one form in which both clients are used here. Replies are in plain types, see `plainReply`. */
export interface RedisAdapter {
  command(...args: string[]): Promise<unknown>
  /** Calls `listener` whenever the connection is lost, before a new one is made. */
  onLoss(listener: () => void): void
  /** Calls `listener` whenever a connection can take commands, and soon where it can already. */
  onReady(listener: () => void): void
  /** A connection of our own to the same server. It tries once, and does not come back by itself. */
  dedicated(): DedicatedConnection
}

export interface DedicatedConnection {
  connect(): Promise<unknown>
  command(...args: string[]): Promise<unknown>
  destroy(): void
}

/** ioredis emits the first on a loss, redis the second, both the third at the end. */
const LOSS_EVENTS = ['close', 'reconnecting', 'end']

/** Tells the two clients apart by their shape, so that neither package is imported. Throws `TypeError` for any other. */
export function redisAdapter(client: RedisClient): RedisAdapter {
  if (isIoredis(client)) return ioredis(client)
  if (isNodeRedis(client)) return nodeRedis(client)
  throw new TypeError(
    'ajwt/redis: the client must be a Redis of "ioredis" or what createClient of "redis" returns, for one server or a Sentinel group, not a cluster or a pool',
  )
}

function isIoredis(client: RedisClient): client is IoredisClient {
  const { call, status, isCluster } = client as Partial<IoredisClient> & { isCluster?: boolean }
  return typeof call === 'function' && typeof status === 'string' && isCluster !== true
}

// `select` is what a client has and a cluster, a pool or a Sentinel client of that package has not.
function isNodeRedis(client: RedisClient): client is NodeRedisClient {
  const { sendCommand, select, isReady } = client as Partial<NodeRedisClient>
  return typeof sendCommand === 'function' && typeof select === 'function' && typeof isReady === 'boolean'
}

function ioredis(client: IoredisClient): RedisAdapter {
  return {
    command: async (command, ...args) => plainReply(await client.call(command as string, ...args)),
    onLoss: (listener) => listen(client, LOSS_EVENTS, listener),
    onReady(listener) {
      listen(client, ['ready'], listener)
      if (client.status === 'ready') queueMicrotask(listener)
    },
    dedicated() {
      const own = client.duplicate({
        lazyConnect: true,
        retryStrategy: () => null,
        sentinelRetryStrategy: () => null,
        autoResendUnfulfilledCommands: false,
        maxRetriesPerRequest: 0,
        commandTimeout: undefined,
        socketTimeout: undefined,
      }) as IoredisClient
      own.on('error', ignore)
      return {
        connect: () => own.connect(),
        command: async (command, ...args) => plainReply(await own.call(command as string, ...args)),
        destroy: () => own.disconnect(),
      }
    },
  }
}

function nodeRedis(client: NodeRedisClient): RedisAdapter {
  return {
    command: async (...args) => plainReply(await client.sendCommand(args)),
    onLoss: (listener) => listen(client, LOSS_EVENTS, listener),
    onReady(listener) {
      listen(client, ['ready'], listener)
      if (client.isReady) queueMicrotask(listener)
    },
    dedicated() {
      const { socket } = (client.options ?? {}) as { socket?: object }
      const own = client.duplicate({
        socket: { ...socket, reconnectStrategy: false, socketTimeout: undefined },
        disableOfflineQueue: true,
        commandOptions: undefined,
      }) as NodeRedisClient
      own.on('error', ignore)
      return {
        connect: () => own.connect(),
        command: async (...args) => plainReply(await own.sendCommand(args)),
        destroy: () => own.destroy(),
      }
    },
  }
}

function listen(client: RedisClient, events: readonly string[], listener: () => void): void {
  for (const event of events) client.on(event, listener)
}

/** What failed is told by the command that was waiting; without a listener an `error` event would end the process. */
function ignore(): void {}
