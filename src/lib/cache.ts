/** How much memory what was verified before may take, each in bytes, about; 0 keeps nothing. */
export interface CacheOptions {
  /** Verified tokens, reckoned at some seven kilobytes each. Default: 128 MiB. */
  tokens?: number
  /** Keys of agents, by the header of their proofs, reckoned at some two kilobytes each. Default: 32 MiB. */
  proofKeys?: number
  /** Delegation assertions whose signature has verified, some 200 bytes each. Default: 8 MiB. */
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

interface Entry<T> {
  readonly key: string
  readonly value: T
  readonly size: number
  /** The ones that were used just before and just after this one. */
  before: Entry<T> | undefined
  after: Entry<T> | undefined
}

/** Values by their keys, within `maxSize` bytes as `sizeOf` reckons them. What was used least lately makes room. */
export class Cache<T> {
  /** Bytes that the values take, about. */
  size = 0
  readonly #maxSize: number
  readonly #sizeOf: (value: T) => number
  readonly #entries = new Map<string, Entry<T>>()
  #oldest: Entry<T> | undefined
  #newest: Entry<T> | undefined

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
    if (entry !== this.#newest) {
      this.#unlink(entry)
      this.#append(entry)
    }
    return entry.value
  }

  /** Keeps nothing that is larger than the whole cache may be. */
  set(key: string, value: T): void {
    this.delete(key)
    const size = this.#sizeOf(value)
    if (!(size <= this.#maxSize)) return
    const entry: Entry<T> = { key, value, size, before: undefined, after: undefined }
    this.#entries.set(key, entry)
    this.#append(entry)
    this.size += size
    while (this.size > this.#maxSize && this.#oldest !== undefined) this.delete(this.#oldest.key)
  }

  delete(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    this.#unlink(entry)
    this.size -= entry.size
  }

  #append(entry: Entry<T>): void {
    entry.before = this.#newest
    entry.after = undefined
    if (this.#newest === undefined) this.#oldest = entry
    else this.#newest.after = entry
    this.#newest = entry
  }

  #unlink({ before, after }: Entry<T>): void {
    if (before === undefined) this.#oldest = after
    else before.after = after
    if (after === undefined) this.#newest = before
    else after.before = before
  }
}
