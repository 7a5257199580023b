/** Rows in one chunk: 2 ** 14. */
const SHIFT = 14
const ROWS = 1 << SHIFT
const MASK = ROWS - 1

/**
 * Rows of numbers in typed arrays. They grow by one chunk, because copying a full store would stop the event
 * loop for milliseconds (bench/replay-store.ts).
 */
export class Rows {
  readonly #chunks: (Int32Array | Float64Array)[] = []
  readonly #width: number
  readonly #type: Int32ArrayConstructor | Float64ArrayConstructor

  /** `width` is the number of fields in each row. */
  constructor(type: Int32ArrayConstructor | Float64ArrayConstructor, width: number) {
    this.#type = type
    this.#width = width
  }

  /** Allocates all rows up to `row`. */
  ensure(row: number): void {
    while (row >> SHIFT >= this.#chunks.length) this.#chunks.push(new this.#type(ROWS * this.#width))
  }

  get(row: number, field: number): number {
    return this.#chunk(row)[(row & MASK) * this.#width + field] ?? 0
  }

  set(row: number, field: number, value: number): void {
    this.#chunk(row)[(row & MASK) * this.#width + field] = value
  }

  #chunk(row: number): Int32Array | Float64Array {
    const chunk = this.#chunks[row >> SHIFT]
    if (chunk === undefined) throw new RangeError(`row ${row} is not allocated`)
    return chunk
  }
}
