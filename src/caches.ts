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

/** Entries in use that one newcomer goes past: the next one goes all the same. */
const maxSpared = 16

interface Entry<T> {
  readonly value: T
  readonly size: number
  /** Whether it was asked for since it counted as new. */
  wasUsed: boolean
}

/**
 * Values by their keys, within `maxSize` bytes as `sizeOf` reckons them. The oldest makes room; one that was asked for
 * meanwhile counts as new once more (second chance). To ask for a value moves nothing, and what nobody asks for again
 * goes before what somebody does.
 */
export class Cache<T> {
  /** Bytes that the values take, about. */
  size = 0
  readonly #maxSize: number
  readonly #sizeOf: (value: T) => number
  readonly #entries = new Map<string, Entry<T>>()
  /** Over the oldest entries and on, since a new one for each would look at all the places that are empty by now. */
  #oldest = this.#entries.entries()

  constructor(maxSize: number, sizeOf: (value: T) => number) {
    this.#maxSize = maxSize
    this.#sizeOf = sizeOf
  }

  get count(): number {
    return this.#entries.size
  }

  get(key: string): T | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    entry.wasUsed = true
    return entry.value
  }

  /** Keeps nothing that is larger than the whole cache may be. */
  set(key: string, value: T): void {
    this.delete(key)
    const size = this.#sizeOf(value)
    if (size > this.#maxSize) return
    this.size += size
    if (this.size > this.#maxSize) this.#makeRoom()
    this.#entries.set(key, { value, size, wasUsed: false })
  }

  delete(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    this.size -= entry.size
  }

  #makeRoom(): void {
    let spared = 0
    while (this.size > this.#maxSize) {
      const next = this.#oldest.next()
      if (next.done) {
        this.#oldest = this.#entries.entries()
        continue
      }
      const [key, entry] = next.value
      this.#entries.delete(key)
      if (entry.wasUsed && spared < maxSpared) {
        spared += 1
        entry.wasUsed = false
        this.#entries.set(key, entry)
      } else {
        this.size -= entry.size
      }
    }
  }
}
