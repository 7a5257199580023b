import type { Fingerprint } from './fingerprint.js'
import { FingerprintTable, OWN } from './fingerprint-table.js'
import { IntRows } from './rows.js'

const COUNT = OWN
const OLDEST = OWN + 1
const NEWEST = OWN + 2
const BEFORE = OWN + 3
const AFTER = OWN + 4

/**
 * One record per agent key: how many entries it holds, its oldest and newest, and its floor, the expiry up to
 * which it has forgotten something. Records that hold equally many stand in one ring, oldest first, so that the
 * largest is known without a search.
 */
export class Partitions {
  readonly #table = new FingerprintTable(5)
  readonly #rings = new IntRows(1)
  #largestCount = 0
  /** The floor of every key that has no record: the highest of the records that were dropped. */
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

  /** Forgets the record that has held nothing for longest. Its floor outlives it, for all that are unknown. */
  dropIdle(): void {
    const partition = this.#rings.get(0, 0)
    this.#commonFloor = Math.max(this.#commonFloor, this.floor(partition))
    this.#leave(partition)
    this.#table.delete(partition)
  }

  /** Drops a few idle records whose floor can no longer refuse anything. */
  tidy(now: number): void {
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
   * Who gives an entry up so that `partition` can have one more: the largest, or `partition` itself once it is as
   * large. So nobody is pushed below an equal share, however many proofs another agent sends.
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
    // One step is enough: what left the top ring went into the ring below it.
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
