import type { RedisReplayStore } from '../../../src/stores/redis/index.js'

/** The outcome of a call: true, false, or a rejection. */
export async function outcome(store: RedisReplayStore, key: string, ttl = 60): Promise<boolean | 'rejected'> {
  return store.remember(key, ttl).catch(() => 'rejected' as const)
}
