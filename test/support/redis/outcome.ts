import type { RedisReplayStore } from '../../../src/stores/redis/index.js'

/** What came of a call: true, false, or that it rejected. */
export async function outcome(store: RedisReplayStore, key: string, ttl = 60): Promise<boolean | 'rejected'> {
  return store.remember(key, ttl).catch(() => 'rejected' as const)
}
