/** 2 ** 14 rows a chunk: with fewer, it is the many chunks themselves that have to be fetched into the processor's cache. */
const SHIFT = 14
const ROWS = 1 << SHIFT
const MASK = ROWS - 1

/**
 * Rows of int32 fields outside the JavaScript heap. They grow by one chunk and never by copying what is
 * there: copying a full store, or rehashing a `Map` of a million, would stop the event loop for milliseconds.
 */
export class IntRows {
  readonly #chunks: Int32Array[] = []
  readonly #width: number

  constructor(width: number) {
    this.#width = width
  }

  ensure(row: number): void {
    while (row >> SHIFT >= this.#chunks.length) this.#chunks.push(new Int32Array(ROWS * this.#width))
  }

  /** The chunk that holds `row`, from `at(row)` on: for code that reads several fields. */
  chunk(row: number): Int32Array {
    return this.#chunks[row >> SHIFT] as Int32Array
  }

  at(row: number): number {
    return (row & MASK) * this.#width
  }

  get(row: number, field: number): number {
    return this.chunk(row)[this.at(row) + field] as number
  }

  set(row: number, field: number, value: number): void {
    this.chunk(row)[this.at(row) + field] = value
  }
}

/** One float64 per row, grown in the same way. */
export class FloatRows {
  readonly #chunks: Float64Array[] = []

  ensure(row: number): void {
    while (row >> SHIFT >= this.#chunks.length) this.#chunks.push(new Float64Array(ROWS))
  }

  get(row: number): number {
    return this.#chunk(row)[row & MASK] as number
  }

  set(row: number, value: number): void {
    this.#chunk(row)[row & MASK] = value
  }

  #chunk(row: number): Float64Array {
    return this.#chunks[row >> SHIFT] as Float64Array
  }
}
