import { LRU } from 'tiny-lru'

// `#lru` of bundles: a third of the size of lru-cache, which knows weights itself.

/**
 * A cache of texts that keeps the values that were used last. `maxWeight` is the weight of all values
 * together: with the default weight of 1, their number. `onEvict` gets each value that had to make room, and
 * none that was replaced or deleted.
 */
export class Lru<T extends NonNullable<unknown>> {
  readonly #maxWeight: number
  readonly #entries = new LRU<{ readonly value: T; readonly weight: number }>()
  #weight = 0

  constructor(maxWeight: number, onEvict?: (value: T) => void) {
    this.#maxWeight = maxWeight
    this.#entries.onEvict(({ value: { value, weight } }) => {
      this.#weight -= weight
      onEvict?.(value)
    })
  }

  get weight(): number {
    return this.#weight
  }

  get count(): number {
    return this.#entries.size
  }

  get(key: string): T | undefined {
    return this.#entries.get(key)?.value
  }

  /** Is no use of the value. */
  peek(key: string): T | undefined {
    return this.#entries.peek(key)?.value
  }

  /** `weight`: a positive integer, at most `maxWeight`. */
  set(key: string, value: T, weight = 1): void {
    this.delete(key)
    this.#entries.set(key, { value, weight })
    this.#weight += weight
    while (this.#weight > this.#maxWeight) this.#entries.evict()
  }

  delete(key: string): void {
    this.#weight -= this.#entries.peek(key)?.weight ?? 0
    this.#entries.delete(key)
  }

  values(): Iterable<T> {
    return this.#entries.values().flatMap((entry) => (entry === undefined ? [] : [entry.value]))
  }
}
