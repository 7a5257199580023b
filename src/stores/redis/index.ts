export type { IoredisClient, NodeRedisClient, RedisClient } from './client.js'
export { type RedisLimitStore, redisLimitStore } from './limits.js'
export { type RedisReplayStore, redisReplayStore } from './replay.js'
export { type RedisRevocations, redisRevocations } from './revocations.js'
