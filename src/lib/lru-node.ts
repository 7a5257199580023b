import { LRUCache } from 'lru-cache'

// `#lru` where the size of a bundle matters little, and speed with many entries much.

/**
 * A cache of texts that keeps the values that were used last. `maxWeight` is the weight of all values
 * together: with the default weight of 1, their number. `onEvict` gets each value that had to make room, and
 * none that was replaced or deleted.
 */
export class Lru<T extends NonNullable<unknown>> {
  readonly #entries: LRUCache<string, T>

  constructor(maxWeight: number, onEvict?: (value: T) => void) {
    this.#entries = new LRUCache({
      maxSize: Math.max(1, maxWeight),
      dispose: (value, _, reason) => {
        if (reason === 'evict') onEvict?.(value)
      },
    })
  }

  get weight(): number {
    return this.#entries.calculatedSize
  }

  get count(): number {
    return this.#entries.size
  }

  get(key: string): T | undefined {
    return this.#entries.get(key)
  }

  /** Is no use of the value. */
  peek(key: string): T | undefined {
    return this.#entries.peek(key)
  }

  /** `weight`: a positive integer, at most `maxWeight`. */
  set(key: string, value: T, weight = 1): void {
    this.#entries.set(key, value, { size: weight })
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }

  values(): Iterable<T> {
    return this.#entries.values()
  }
}
