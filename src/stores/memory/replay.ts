import { type Fingerprint, fingerprint, randomSeed } from './fingerprint.js'
import { FIRST_FIELD, FingerprintTable } from './fingerprint-table.js'
import { warnAboutManyInstances } from './many-instances.js'
import { Partitions } from './partitions.js'

const PARTITION = FIRST_FIELD
const BEFORE = FIRST_FIELD + 1
const AFTER = FIRST_FIELD + 2

/** Seconds. No token lives longer, so a longer ttl is a mistake. */
const MAX_TTL = 31 * 24 * 3600
/** Entries checked for expiry per call. A full store is swept once in `maxEntries / 8` calls. */
const SWEEP = 8
/**
 * Positions that a new entry may move up. Enough, because the proofs of one agent arrive almost in the order
 * of `iat`.
 */
const REORDER = 8
/**
 * Seconds. The verifier and the store read the clock one after the other, so the expiry of the same proof may
 * differ by a pause of the process.
 */
const CLOCK_SLACK = 0.1
/** Seconds. After an eviction the slack is one step of `iat`, which most clients send in whole seconds. */
const EVICTION_SLACK = 1

/** A replay store in memory, made by {@link memoryReplayStore}. The counters are for metrics. */
export interface MemoryReplayStore {
  remember(key: string, ttl: number): boolean
  /** The number of entries, including expired ones that are not swept yet. */
  readonly size: number
  /** The number of agents with entries or a floor. */
  readonly agents: number
  /** The number of entries that were evicted before they expired. */
  readonly evicted: number
  /** The number of refused keys that were not known: an invalid ttl, or an expiry below the floor. */
  readonly refused: number
}

/**
 * A replay store for one process. `remember` returns `true` if the key is new, and keeps the key for `ttl`
 * seconds.
 *
 * If the store has `maxEntries`, the agent with the most entries loses its oldest one. From then on, the
 * store refuses every key of that agent that would expire no later than the lost entry (the agent's floor).
 * Some new proofs may be denied, but no replay passes. Expired entries raise the floor too, so setting the
 * clock back allows no replay. This requires that `ttl` is the time until a fixed expiry, read from the clock
 * that `now` (milliseconds) reads.
 *
 * The owner of a key is its text up to the first `.`, or up to the first `~` if it has no dot: the agent's
 * key for a proof, the issuer for a single-use token. A `ttl` that is not between 0 and 31 days is refused.
 * Throws `TypeError` for an invalid option or a key that is not a string.
 */
export function memoryReplayStore({
  maxEntries = 1_000_000,
  now = () => Date.now(),
}: {
  maxEntries?: number
  now?: () => number
} = {}): MemoryReplayStore {
  if (!Number.isInteger(maxEntries) || maxEntries < 1 || maxEntries > 2 ** 27) {
    throw new TypeError('memoryReplayStore: maxEntries must be an integer from 1 to 134217728')
  }
  // Made by the first call, because Workers have no randomness while a module loads.
  let seed: Fingerprint | undefined
  const entries = new FingerprintTable(3)
  const partitions = new Partitions()
  let sweepPosition = 0
  let evicted = 0
  let refused = 0

  function remember(key: string, ttl: number): boolean {
    if (typeof key !== 'string') throw new TypeError('memoryReplayStore: the key must be a string')
    const time = now() / 1000
    // NaN must fail this test. With a NaN clock the entry would never expire.
    if (!(ttl > 0 && ttl <= MAX_TTL && Number.isFinite(time))) return refuse()
    const expiry = time + ttl
    sweep(time)

    const end = ownerEnd(key)
    seed ??= start()
    const owner = fingerprint(key.slice(0, end), seed)
    const id = fingerprint(key.slice(end), owner)
    let partition = partitions.find(owner)
    if (expiry <= partitions.floor(partition)) return refuse()

    const known = entries.find(id)
    if (known !== 0) return renew(known, partition, time, expiry)
    if (entries.size >= maxEntries && !evict(partition, expiry)) return refuse()
    if (partition === 0) partition = addPartition(owner)
    const entry = entries.add(id, expiry)
    link(entry, partition)
    partitions.changeCount(partition, 1)
    return true
  }

  function start(): Fingerprint {
    warnAboutManyInstances('memoryReplayStore', 'a proof can be used once in each')
    return randomSeed()
  }

  /** Bounds the partitions too. With `maxEntries` agents, one of them has no entry and can be dropped. */
  function addPartition(owner: Fingerprint): number {
    if (partitions.size >= maxEntries) partitions.dropIdle()
    return partitions.add(owner)
  }

  /** A known key counts as new once its entry has expired. */
  function renew(entry: number, partition: number, time: number, expiry: number): boolean {
    const knownExpiry = entries.time(entry)
    if (time < knownExpiry || expiry <= knownExpiry + CLOCK_SLACK) return false
    entries.setTime(entry, expiry)
    unlink(entry, partition)
    link(entry, partition)
    return true
  }

  /**
   * Evicts an entry for a new one of this partition. False if the new entry would itself be the first to
   * evict.
   */
  function evict(partition: number, expiry: number): boolean {
    const victim = partitions.evictionVictim(partition)
    const oldest = partitions.oldest(victim)
    const floor = entries.time(oldest) + EVICTION_SLACK
    // The floor that the eviction leaves would refuse the new entry.
    if (victim === partition && expiry <= floor) return false
    evicted += 1
    release(oldest, floor)
    return true
  }

  function refuse(): false {
    refused += 1
    return false
  }

  /** Removes expired entries, a few per call: needs no timer, and no call scans the whole table. */
  function sweep(time: number): void {
    const steps = Math.min(SWEEP, entries.top)
    for (let step = 0; step < steps; step++) {
      sweepPosition = sweepPosition < entries.top ? sweepPosition + 1 : 1
      const end = entries.time(sweepPosition) + CLOCK_SLACK
      if (end <= time) release(sweepPosition, end)
    }
    partitions.dropExpired(time)
  }

  /** Removes an entry. The store then refuses the agent's keys that would expire no later than `floor`. */
  function release(entry: number, floor: number): void {
    const partition = entries.get(entry, PARTITION)
    partitions.raiseFloor(partition, floor)
    unlink(entry, partition)
    entries.delete(entry)
    partitions.changeCount(partition, -1)
  }

  function link(entry: number, partition: number): void {
    const expiry = entries.time(entry)
    let before = partitions.newest(partition)
    let after = 0
    for (let step = 0; step < REORDER && before !== 0 && entries.time(before) > expiry; step++) {
      after = before
      before = entries.get(before, BEFORE)
    }
    entries.set(entry, PARTITION, partition)
    entries.set(entry, BEFORE, before)
    entries.set(entry, AFTER, after)
    if (before === 0) partitions.setOldest(partition, entry)
    else entries.set(before, AFTER, entry)
    if (after === 0) partitions.setNewest(partition, entry)
    else entries.set(after, BEFORE, entry)
  }

  function unlink(entry: number, partition: number): void {
    const before = entries.get(entry, BEFORE)
    const after = entries.get(entry, AFTER)
    if (before === 0) partitions.setOldest(partition, after)
    else entries.set(before, AFTER, after)
    if (after === 0) partitions.setNewest(partition, before)
    else entries.set(after, BEFORE, before)
  }

  return {
    remember,
    get size() {
      return entries.size
    },
    get agents() {
      return partitions.size
    },
    get evicted() {
      return evicted
    },
    get refused() {
      return refused
    },
  }
}

/** The end of the owner in a key. Includes the separator, so that proofs and tokens never share an owner. */
function ownerEnd(key: string): number {
  const dot = key.indexOf('.')
  const end = dot >= 0 ? dot : key.indexOf('~')
  return end > 0 ? end + 1 : 0
}
