import { once } from 'node:events'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import type { RedisClient } from '../../../src/stores/redis/index.js'

export type Package = 'ioredis' | 'redis'
export const packages: Package[] = ['ioredis', 'redis']

export interface TestClient {
  client: RedisClient
  close(): void
}

/** A connected client of either package, with defaults except for a short reconnection delay. */
export async function connectClient(name: Package, port: number): Promise<TestClient> {
  const test = startClient(name, port)
  if (name === 'ioredis') await once(test.client as Redis, 'ready')
  else
    while (!(test.client as { isReady: boolean }).isReady)
      await new Promise((resolve) => setTimeout(resolve, 5))
  return test
}

/** A client that may not be connected yet, for tests without a server. */
export function startClient(name: Package, port: number, options: { keyPrefix?: string } = {}): TestClient {
  const retry = () => 50
  if (name === 'ioredis') {
    const client = new Redis(port, '127.0.0.1', { ...options, retryStrategy: retry })
    client.on('error', () => {})
    return { client, close: () => client.disconnect() }
  }
  const client = createClient({ ...options, socket: { host: '127.0.0.1', port, reconnectStrategy: retry } })
  client.on('error', () => {})
  client.connect().catch(() => {})
  return { client, close: () => client.destroy() }
}
