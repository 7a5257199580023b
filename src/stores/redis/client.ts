import { plainReply } from './reply.js'

/** The members of an `ioredis` client that ajwt uses. */
export interface IoredisClient {
  readonly status: string
  call(command: string, ...args: string[]): Promise<unknown>
  duplicate(override?: object): IoredisClient
  connect(): Promise<unknown>
  disconnect(): void
  on(event: string, listener: () => void): unknown
}

/** The members of a client of `createClient` (package `redis`) that ajwt uses. */
export interface NodeRedisClient {
  readonly isReady: boolean
  readonly options?: { readonly socket?: object }
  sendCommand(args: readonly string[]): Promise<unknown>
  select(database: number): Promise<unknown>
  duplicate(overrides?: object): NodeRedisClient
  connect(): Promise<unknown>
  destroy(): void
  on(event: string, listener: () => void): unknown
}

/**
 * A client of one Redis or Valkey server: `new Redis()` of ioredis 5 or later, or `createClient()` of redis 5
 * or later.
 */
export type RedisClient = IoredisClient | NodeRedisClient

/** Sends one command. The reply has plain types, see `plainReply`. */
export type SendCommand = (name: string, ...args: string[]) => Promise<unknown>

/** One interface for both clients. */
export interface RedisAdapter {
  readonly command: SendCommand
  /** Calls `listener` each time the connection is lost, before the client reconnects. */
  onDisconnect(listener: () => void): void
  /** Calls `listener` each time a connection is ready. If one is ready now, calls it soon. */
  onReady(listener: () => void): void
  /** A separate connection to the same server. It does not reconnect. */
  dedicated(): DedicatedConnection
}

export interface DedicatedConnection {
  connect(): Promise<unknown>
  readonly command: SendCommand
  destroy(): void
}

/**
 * A lost connection: ioredis emits `close`, redis `reconnecting`. Both emit `end` if they do not reconnect.
 */
const DISCONNECT_EVENTS = ['close', 'reconnecting', 'end']

/**
 * Recognizes the clients by their members, so that neither package is imported. Throws `TypeError` for any
 * other.
 */
export function redisAdapter(client: RedisClient): RedisAdapter {
  if (isIoredis(client)) return ioredis(client)
  if (isNodeRedis(client)) return nodeRedis(client)
  throw new TypeError(
    'ajwt/redis: the client must be made by new Redis() of "ioredis" or by createClient() of "redis", ' +
      'for one server or a Sentinel group, not for a cluster or a pool',
  )
}

function isIoredis(client: RedisClient): client is IoredisClient {
  if (!('call' in client && 'status' in client)) return false
  const isCluster = 'isCluster' in client && client.isCluster === true
  return typeof client.call === 'function' && typeof client.status === 'string' && !isCluster
}

/** Only a client for one server has `select`. A cluster, a pool and a Sentinel client of `redis` do not. */
function isNodeRedis(client: RedisClient): client is NodeRedisClient {
  if (!('sendCommand' in client && 'select' in client && 'isReady' in client)) return false
  const { sendCommand, select, isReady } = client
  return typeof sendCommand === 'function' && typeof select === 'function' && typeof isReady === 'boolean'
}

function ioredis(client: IoredisClient): RedisAdapter {
  return {
    command: async (name, ...args) => plainReply(await client.call(name, ...args)),
    onDisconnect: (listener) => listen(client, DISCONNECT_EVENTS, listener),
    onReady(listener) {
      listen(client, ['ready'], listener)
      if (client.status === 'ready') queueMicrotask(listener)
    },
    dedicated() {
      const copy = client.duplicate({
        lazyConnect: true,
        retryStrategy: () => null,
        sentinelRetryStrategy: () => null,
        autoResendUnfulfilledCommands: false,
        maxRetriesPerRequest: 0,
        commandTimeout: undefined,
        socketTimeout: undefined,
      })
      copy.on('error', ignore)
      return {
        connect: () => copy.connect(),
        command: async (name, ...args) => plainReply(await copy.call(name, ...args)),
        destroy: () => copy.disconnect(),
      }
    },
  }
}

function nodeRedis(client: NodeRedisClient): RedisAdapter {
  return {
    command: async (...args) => plainReply(await client.sendCommand(args)),
    onDisconnect: (listener) => listen(client, DISCONNECT_EVENTS, listener),
    onReady(listener) {
      listen(client, ['ready'], listener)
      if (client.isReady) queueMicrotask(listener)
    },
    dedicated() {
      const copy = client.duplicate({
        socket: { ...client.options?.socket, reconnectStrategy: false, socketTimeout: undefined },
        disableOfflineQueue: true,
        commandOptions: undefined,
      })
      copy.on('error', ignore)
      return {
        connect: () => copy.connect(),
        command: async (...args) => plainReply(await copy.sendCommand(args)),
        destroy: () => copy.destroy(),
      }
    },
  }
}

function listen(client: RedisClient, events: readonly string[], listener: () => void): void {
  for (const event of events) client.on(event, listener)
}

/** The command that failed rejects. Without a listener, an `error` event would end the process. */
function ignore(): void {}
