import type { Fingerprint } from './fingerprint.js'
import { Rows } from './rows.js'

/** Fields 0 to 3 are the fingerprint. Field 4 is the next row of the same bucket, or of the free list. */
const NEXT = 4
/** The first of the caller's fields. */
export const FIRST_FIELD = 5
const INITIAL_BUCKETS = 1024

/**
 * A hash table from fingerprints to rows. A row has a time and the caller's integer fields. Row 0 means
 * "none". Linear hashing: each insert splits at most one bucket, so that no insert rehashes the whole table.
 */
export class FingerprintTable {
  /** The number of rows in use. */
  size = 0
  /** The highest row that was ever in use. */
  top = 0
  /** The first row of the free list. */
  #free = 0
  #mask = INITIAL_BUCKETS - 1
  #bucketCount = INITIAL_BUCKETS
  readonly #buckets = new Rows(Int32Array, 1)
  readonly #rows: Rows
  readonly #times = new Rows(Float64Array, 1)

  constructor(fields: number) {
    this.#rows = new Rows(Int32Array, FIRST_FIELD + fields)
    this.#buckets.ensure(INITIAL_BUCKETS - 1)
  }

  get(row: number, field: number): number {
    return this.#rows.get(row, field)
  }

  set(row: number, field: number, value: number): void {
    this.#rows.set(row, field, value)
  }

  time(row: number): number {
    return this.#times.get(row, 0)
  }

  setTime(row: number, time: number): void {
    this.#times.set(row, 0, time)
  }

  /** The row with this fingerprint, or 0. */
  find(print: Fingerprint): number {
    let row = this.#buckets.get(this.#bucketOf(print[0]), 0)
    while (row !== 0 && !this.#hasFingerprint(row, print)) row = this.#rows.get(row, NEXT)
    return row
  }

  /**
   * Adds a row for a new fingerprint. The caller sets its own fields, which may have values of a deleted row.
   */
  add(print: Fingerprint, time: number): number {
    const row = this.#allocate()
    for (const [field, word] of print.entries()) this.#rows.set(row, field, word)
    this.#times.set(row, 0, time)
    this.#link(this.#bucketOf(print[0]), row)
    this.size += 1
    if (this.size > this.#bucketCount) this.#split()
    return row
  }

  delete(row: number): void {
    const rows = this.#rows
    const bucket = this.#bucketOf(rows.get(row, 0))
    const next = rows.get(row, NEXT)
    let before = this.#buckets.get(bucket, 0)
    if (before === row) {
      this.#buckets.set(bucket, 0, next)
    } else {
      while (rows.get(before, NEXT) !== row) before = rows.get(before, NEXT)
      rows.set(before, NEXT, next)
    }
    rows.set(row, NEXT, this.#free)
    this.#free = row
    this.#times.set(row, 0, Number.POSITIVE_INFINITY)
    this.size -= 1
  }

  #allocate(): number {
    const free = this.#free
    if (free !== 0) {
      this.#free = this.#rows.get(free, NEXT)
      return free
    }
    this.top += 1
    this.#rows.ensure(this.top)
    this.#times.ensure(this.top)
    return this.top
  }

  #hasFingerprint(row: number, print: Fingerprint): boolean {
    return print.every((word, field) => this.#rows.get(row, field) === word)
  }

  #bucketOf(word: number): number {
    const wide = word & (2 * this.#mask + 1)
    return wide < this.#bucketCount ? wide : word & this.#mask
  }

  #link(bucket: number, row: number): void {
    this.#rows.set(row, NEXT, this.#buckets.get(bucket, 0))
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
      const next = this.#rows.get(row, NEXT)
      this.#link(this.#bucketOf(this.#rows.get(row, 0)), row)
      row = next
    }
  }
}
