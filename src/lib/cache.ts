import { Lru } from '#lru'

/** Memory limits of the caches, in estimated bytes. 0 turns a cache off. */
export interface CacheOptions {
  /** Verified tokens, about 7 KB each. Default: 128 MiB. */
  tokens?: number
  /** Public keys of agents, by the header of their proofs, about 2 KB each. Default: 32 MiB. */
  proofKeys?: number
  /** Delegation assertions with a verified signature, about 200 bytes each. Default: 8 MiB. */
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

/** An LRU cache of at most `maxSize` bytes. */
export class Cache<T extends object | true> {
  readonly #sizeOf: (value: T) => number
  readonly #maxSize: number
  readonly #entries: Lru<T>

  /** `sizeOf` returns the estimated bytes of a value. A cache with a `maxSize` of 0 stores nothing. */
  constructor(maxSize: number, sizeOf: (value: T) => number) {
    this.#sizeOf = sizeOf
    this.#maxSize = maxSize
    this.#entries = new Lru(maxSize)
  }

  /** The estimated bytes of all values. */
  get size(): number {
    return this.#entries.weight
  }

  get count(): number {
    return this.#entries.count
  }

  get(key: string): T | undefined {
    return this.#entries.get(key)
  }

  /** Does not store a value that is larger than the cache, or whose size is not a number. */
  set(key: string, value: T): void {
    const size = Math.ceil(this.#sizeOf(value))
    if (size > 0 && size <= this.#maxSize) this.#entries.set(key, value, size)
    else this.#entries.delete(key)
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }
}
