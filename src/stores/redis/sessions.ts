import { createHash } from 'node:crypto'
import { withDeadline } from '../../lib/promise.js'
import type { SessionStore } from '../store.js'
import { type RedisClient, redisAdapter } from './client.js'

/** The maximum number of unanswered calls. Bounds the memory while Redis does not respond. */
const MAX_PENDING = 10_000

/** A session store in Redis, made by {@link redisSessionStore}. */
export interface RedisSessionStore extends SessionStore {
  get(id: string): Promise<string | undefined>
  set(id: string, owner: string): Promise<void>
  delete(id: string): Promise<void>
}

export interface RedisSessionOptions {
  /** Default: `ajwt:session:`. */
  readonly prefix?: string
  /** Seconds for which an unused id is kept. Default: a day. */
  readonly ttl?: number
  /** Seconds to wait for Redis. Default: 0.25. */
  readonly timeout?: number
}

/**
 * The owners of MCP sessions and tasks, for all processes of an API, in Redis 6.2 or later, or Valkey. Ids
 * are stored as SHA-256 digests. Rejects if Redis gives no clear reply within `timeout` seconds: the request
 * is then denied with 503. An id that Redis has lost gets 404, and the client begins a new session. Throws
 * `TypeError` for a wrong option.
 */
export function redisSessionStore(
  client: RedisClient,
  { prefix = 'ajwt:session:', ttl = 24 * 3600, timeout = 0.25 }: RedisSessionOptions = {},
): RedisSessionStore {
  if (!(Number.isSafeInteger(ttl) && ttl > 0)) {
    throw new TypeError('redisSessionStore: ttl must be a whole number of seconds greater than 0')
  }
  if (!(timeout > 0 && timeout <= 60)) {
    throw new TypeError('redisSessionStore: timeout must be a number of seconds, at most 60')
  }
  const redis = redisAdapter(client)
  let pending = 0

  async function send(command: string, id: string, ...values: string[]): Promise<unknown> {
    if (pending >= MAX_PENDING) {
      throw new Error(`redisSessionStore: ${MAX_PENDING} calls are pending. Check that Redis responds`)
    }
    pending += 1
    const key = prefix + createHash('sha256').update(id).digest('base64url')
    const reply = redis.command(command, key, ...values).finally(() => {
      pending -= 1
    })
    return withDeadline(
      reply,
      timeout,
      () => new Error(`redisSessionStore: no answer from Redis within ${timeout} s`),
    )
  }

  async function get(id: string): Promise<string | undefined> {
    const reply = await send('GETEX', id, 'EX', String(ttl))
    if (reply === null) return undefined
    if (typeof reply === 'string') return reply
    throw new Error('redisSessionStore: unexpected reply to GETEX')
  }

  return {
    get,
    async set(id, owner) {
      const reply = await send('SET', id, owner, 'NX', 'EX', String(ttl))
      if (reply === 'OK') return
      if ((await get(id)) !== owner) throw new Error('redisSessionStore: the id has another owner')
    },
    async delete(id) {
      await send('DEL', id)
    },
  }
}
