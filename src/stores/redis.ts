export type { IoredisClient, NodeRedisClient, RedisClient } from './redis-client.js'
export { type RedisReplayStore, redisReplayStore } from './redis-replay.js'
export { type RedisRevocations, redisRevocations } from './redis-revocations.js'
