import { LRUCache } from 'lru-cache'

/** How much memory what was verified before may take, each in bytes, about; 0 keeps nothing. */
export interface CacheOptions {
  /** Verified tokens, reckoned at some seven kilobytes each. Default: 128 MiB. */
  tokens?: number
  /** Keys of agents, by the header of their proofs, reckoned at some two kilobytes each. Default: 32 MiB. */
  proofKeys?: number
  /** Delegation assertions whose signature has verified, some 150 bytes each. Default: 8 MiB. */
  assertions?: number
}

export const cacheDefaults: Required<CacheOptions> = Object.freeze({
  tokens: 128 * 1024 * 1024,
  proofKeys: 32 * 1024 * 1024,
  assertions: 8 * 1024 * 1024,
})

export function withDefaults(options: CacheOptions | undefined): Required<CacheOptions> {
  const { tokens, proofKeys, assertions } = options ?? {}
  return {
    tokens: tokens ?? cacheDefaults.tokens,
    proofKeys: proofKeys ?? cacheDefaults.proofKeys,
    assertions: assertions ?? cacheDefaults.assertions,
  }
}

/** What was used least lately makes room. Not bounded by a count, for which the cache would take all its room at once. */
export function createCache<T extends object | true>(
  maxSize: number,
  sizeOf: (value: T) => number,
): LRUCache<string, T> {
  // To the cache, 0 is no bound at all; nothing is as small as a byte.
  return new LRUCache<string, T>({ maxSize: Math.max(maxSize, 1), sizeCalculation: sizeOf })
}
