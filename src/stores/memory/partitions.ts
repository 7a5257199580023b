import type { Fingerprint } from './fingerprint.js'
import { FIRST_FIELD, FingerprintTable } from './fingerprint-table.js'
import { Rows } from './rows.js'

const COUNT = FIRST_FIELD
const OLDEST = FIRST_FIELD + 1
const NEWEST = FIRST_FIELD + 2
const BEFORE = FIRST_FIELD + 3
const AFTER = FIRST_FIELD + 4

/**
 * One partition for each agent key, with its entries and its floor: the latest expiry of the entries that it
 * has lost. Partitions of equal size form a ring, so that the largest is found without a search.
 */
export class Partitions {
  readonly #table = new FingerprintTable(5)
  /** The first partition of each size. */
  readonly #rings = new Rows(Int32Array, 1)
  #largestCount = 0
  /** The floor of all keys without a partition: the highest floor of the dropped partitions. */
  #commonFloor = Number.NEGATIVE_INFINITY

  constructor() {
    this.#rings.ensure(0)
  }

  get size(): number {
    return this.#table.size
  }

  find(print: Fingerprint): number {
    return this.#table.find(print)
  }

  add(print: Fingerprint): number {
    const partition = this.#table.add(print, this.#commonFloor)
    this.#table.set(partition, COUNT, 0)
    this.#table.set(partition, OLDEST, 0)
    this.#table.set(partition, NEWEST, 0)
    this.#enter(partition, 0)
    return partition
  }

  /**
   * Drops the partition that has been empty for the longest time. Its floor then applies to all unknown keys.
   */
  dropIdle(): void {
    const partition = this.#rings.get(0, 0)
    this.#commonFloor = Math.max(this.#commonFloor, this.floor(partition))
    this.#leave(partition)
    this.#table.delete(partition)
  }

  /** Drops up to two empty partitions whose floor is in the past, so that it refuses nothing. */
  dropExpired(now: number): void {
    for (let step = 0; step < 2; step++) {
      const partition = this.#rings.get(0, 0)
      if (partition === 0 || this.floor(partition) > now) return
      this.dropIdle()
    }
  }

  floor(partition: number): number {
    return partition === 0 ? this.#commonFloor : this.#table.time(partition)
  }

  raiseFloor(partition: number, floor: number): void {
    if (floor > this.#table.time(partition)) this.#table.setTime(partition, floor)
  }

  count(partition: number): number {
    return partition === 0 ? 0 : this.#table.get(partition, COUNT)
  }

  oldest(partition: number): number {
    return this.#table.get(partition, OLDEST)
  }

  setOldest(partition: number, entry: number): void {
    this.#table.set(partition, OLDEST, entry)
  }

  newest(partition: number): number {
    return this.#table.get(partition, NEWEST)
  }

  setNewest(partition: number, entry: number): void {
    this.#table.set(partition, NEWEST, entry)
  }

  /**
   * The partition that loses an entry if `partition` adds one: the largest, or `partition` itself if it would
   * become the largest. So a flood of one agent cannot push another below an equal share.
   */
  evictionVictim(partition: number): number {
    const count = this.count(partition)
    if (count > 0 && count + 1 >= this.#largestCount) return partition
    return this.#rings.get(this.#largestCount, 0)
  }

  changeCount(partition: number, by: 1 | -1): void {
    this.#leave(partition)
    const count = this.#table.get(partition, COUNT) + by
    this.#table.set(partition, COUNT, count)
    this.#enter(partition, count)
    if (count > this.#largestCount) this.#largestCount = count
    // One step is enough, because the partition moved to the ring of the next smaller size.
    else if (this.#rings.get(this.#largestCount, 0) === 0) this.#largestCount -= 1
  }

  #enter(partition: number, count: number): void {
    const table = this.#table
    this.#rings.ensure(count)
    const first = this.#rings.get(count, 0)
    if (first === 0) {
      this.#rings.set(count, 0, partition)
      table.set(partition, BEFORE, partition)
      table.set(partition, AFTER, partition)
      return
    }
    const last = table.get(first, BEFORE)
    table.set(partition, BEFORE, last)
    table.set(partition, AFTER, first)
    table.set(last, AFTER, partition)
    table.set(first, BEFORE, partition)
  }

  #leave(partition: number): void {
    const table = this.#table
    const count = table.get(partition, COUNT)
    const after = table.get(partition, AFTER)
    if (after === partition) {
      this.#rings.set(count, 0, 0)
      return
    }
    const before = table.get(partition, BEFORE)
    table.set(before, AFTER, after)
    table.set(after, BEFORE, before)
    if (this.#rings.get(count, 0) === partition) this.#rings.set(count, 0, after)
  }
}
