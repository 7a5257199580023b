import type { Fingerprint } from './fingerprint.js'
import { FloatRows, IntRows } from './rows.js'

const CHAIN = 4
/** The first field that is the owner's; the ones before hold the fingerprint and the chain of its bucket. */
export const OWN = 5
const FIRST_BUCKETS = 1024

/**
 * Rows found by fingerprint, each with `fields` integers and one time. Row 0 stands for "none".
 * Linear hashing: the table grows by splitting one bucket per insert, so no insert pays for all the others.
 */
export class FingerprintTable {
  /** Rows that hold something. */
  size = 0
  /** The highest row ever used: what a scan has to walk. */
  top = 0
  #free = 0
  #mask = FIRST_BUCKETS - 1
  #bucketCount = FIRST_BUCKETS
  readonly #buckets = new IntRows(1)
  readonly #rows: IntRows
  readonly #times = new FloatRows()

  constructor(fields: number) {
    this.#rows = new IntRows(OWN + fields)
    this.#buckets.ensure(FIRST_BUCKETS - 1)
  }

  get(row: number, field: number): number {
    return this.#rows.get(row, field)
  }

  set(row: number, field: number, value: number): void {
    this.#rows.set(row, field, value)
  }

  time(row: number): number {
    return this.#times.get(row)
  }

  setTime(row: number, time: number): void {
    this.#times.set(row, time)
  }

  find(print: Fingerprint): number {
    const rows = this.#rows
    let row = this.#buckets.get(this.#bucket(print[0] as number), 0)
    while (row !== 0) {
      const chunk = rows.chunk(row)
      const at = rows.at(row)
      if (
        chunk[at] === print[0] &&
        chunk[at + 1] === print[1] &&
        chunk[at + 2] === print[2] &&
        chunk[at + 3] === print[3]
      ) {
        return row
      }
      row = chunk[at + CHAIN] as number
    }
    return 0
  }

  /** Adds a fingerprint that `find` does not know; the owner's fields come as they were left. */
  add(print: Fingerprint, time: number): number {
    const rows = this.#rows
    let row = this.#free
    if (row === 0) {
      row = ++this.top
      rows.ensure(row)
      this.#times.ensure(row)
    } else {
      this.#free = rows.get(row, CHAIN)
    }
    const chunk = rows.chunk(row)
    const at = rows.at(row)
    chunk[at] = print[0] as number
    chunk[at + 1] = print[1] as number
    chunk[at + 2] = print[2] as number
    chunk[at + 3] = print[3] as number
    this.#times.set(row, time)
    this.#push(this.#bucket(print[0] as number), row)
    this.size += 1
    if (this.size > this.#bucketCount) this.#split()
    return row
  }

  delete(row: number): void {
    const rows = this.#rows
    const bucket = this.#bucket(rows.get(row, 0))
    const next = rows.get(row, CHAIN)
    let before = this.#buckets.get(bucket, 0)
    if (before === row) {
      this.#buckets.set(bucket, 0, next)
    } else {
      while (rows.get(before, CHAIN) !== row) before = rows.get(before, CHAIN)
      rows.set(before, CHAIN, next)
    }
    rows.set(row, CHAIN, this.#free)
    this.#free = row
    this.#times.set(row, Number.POSITIVE_INFINITY)
    this.size -= 1
  }

  #bucket(word: number): number {
    const wide = word & (2 * this.#mask + 1)
    return wide < this.#bucketCount ? wide : word & this.#mask
  }

  #push(bucket: number, row: number): void {
    this.#rows.set(row, CHAIN, this.#buckets.get(bucket, 0))
    this.#buckets.set(bucket, 0, row)
  }

  #split(): void {
    const from = this.#bucketCount - (this.#mask + 1)
    this.#buckets.ensure(this.#bucketCount)
    this.#bucketCount += 1
    if (this.#bucketCount === 2 * (this.#mask + 1)) this.#mask = 2 * this.#mask + 1
    let row = this.#buckets.get(from, 0)
    this.#buckets.set(from, 0, 0)
    while (row !== 0) {
      const next = this.#rows.get(row, CHAIN)
      this.#push(this.#bucket(this.#rows.get(row, 0)), row)
      row = next
    }
  }
}
