import { createFingerprinter } from './fingerprint.js'
import { FingerprintTable, OWN } from './fingerprint-table.js'
import { Partitions } from './partitions.js'

const PARTITION = OWN
const BEFORE = OWN + 1
const AFTER = OWN + 2

/** Longer than any token lives. A ttl beyond it is a mistake, and an entry that never left would be a leak. */
const LONGEST_TTL = 31 * 24 * 3600
/** Entries looked at per call for having expired: a full store is walked once per `maxEntries / 8` calls. */
const SWEEP = 8
/** Places an entry may move ahead on arrival: one agent's proofs come almost in the order of their `iat`. */
const REORDER = 8
/**
 * The verifier reads the clock, then the store does: two presentations of one proof can differ by a pause of the
 * process in between, so an expiry this close (in seconds) to a forgotten one may be the same proof's.
 */
const READING_SLACK = 0.1
/** After an eviction the slack is one step of `iat`, which most clients send in whole seconds. */
const EVICTION_SLACK = 1

/** A replay store in memory; see {@link memoryReplayStore}. The counters are for metrics. */
export interface MemoryReplayStore {
  remember(key: string, ttl: number): boolean
  /** Entries held, those included that have expired and wait to be swept. */
  readonly size: number
  /** Agents that hold entries or have a floor. */
  readonly agents: number
  /** Entries that were forced out before their time. */
  readonly evicted: number
  /** Keys that were refused without being known: a bad ttl, or no way to tell that they are new. */
  readonly refused: number
}

/**
 * Remembers proofs in this process: `remember` is true exactly when the key is new, and keeps it for `ttl` seconds.
 *
 * Once `maxEntries` are held, the agent with the most gives up its oldest, and from then on everything of that
 * agent that would expire no later than what it gave up is refused: late proofs may be lost, none passes twice.
 * The same floor is left by entries that expire, so a clock that is set back opens nothing. For that to hold, `ttl`
 * must be the time left until a fixed end of the proof, read from the clock that `now` (milliseconds) reads.
 *
 * What comes before the first `.` of a key (before the first `~` where there is no dot) is its owner: the agent's key
 * for a proof, the issuer for a single-use token. A `ttl` that is not a number between 0 and
 * 31 days is refused. Throws `TypeError` for a bad option or a key that is no string.
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
  const prints = createFingerprinter()
  const entries = new FingerprintTable(3)
  const partitions = new Partitions()
  let hand = 0
  let evicted = 0
  let refused = 0

  function remember(key: string, ttl: number): boolean {
    if (typeof key !== 'string') throw new TypeError('memoryReplayStore: the key must be a string')
    const time = now() / 1000
    // Written so that NaN fails; a clock that is not a number must not make an entry that never expires, either.
    if (!(ttl > 0 && ttl <= LONGEST_TTL && Number.isFinite(time))) return refuse()
    const expiry = time + ttl
    sweep(time)

    const end = ownerEnd(key)
    prints.take(key.slice(0, end), key.slice(end))
    let partition = partitions.find(prints.owner)
    if (expiry <= partitions.floor(partition)) return refuse()

    const seen = entries.find(prints.id)
    if (seen !== 0) return renew(seen, partition, time, expiry)
    if (entries.size >= maxEntries && !evict(partition, expiry)) return refuse()
    if (partition === 0) partition = addPartition()
    const entry = entries.add(prints.id, expiry)
    link(entry, partition)
    partitions.changeCount(partition, 1)
    return true
  }

  /** Records are bounded like entries. With as many agents as entries, a freed one's floor goes to all. */
  function addPartition(): number {
    if (partitions.size >= maxEntries) partitions.dropIdle()
    return partitions.add(prints.owner)
  }

  /** A known key is new again once its entry has expired. */
  function renew(entry: number, partition: number, time: number, expiry: number): boolean {
    const known = entries.time(entry)
    if (time < known || expiry <= known + READING_SLACK) return false
    entries.setTime(entry, expiry)
    unlink(entry, partition)
    link(entry, partition)
    return true
  }

  /** Makes room for an entry of this partition; false where that entry would be the first to go. */
  function evict(partition: number, expiry: number): boolean {
    const evictionVictim = partitions.evictionVictim(partition)
    const oldest = partitions.oldest(evictionVictim)
    const floor = entries.time(oldest) + EVICTION_SLACK
    // Its own floor would refuse the newcomer: then the entry that is held is worth more.
    if (evictionVictim === partition && expiry <= floor) return false
    evicted += 1
    release(oldest, floor)
    return true
  }

  function refuse(): false {
    refused += 1
    return false
  }

  /** A hand that goes round over the rows: no timer, and no call that pays for more than a few entries. */
  function sweep(time: number): void {
    const steps = Math.min(SWEEP, entries.top)
    for (let step = 0; step < steps; step++) {
      hand = hand < entries.top ? hand + 1 : 1
      const end = entries.time(hand) + READING_SLACK
      if (end <= time) release(hand, end)
    }
    partitions.tidy(time)
  }

  /** Forgets an entry, and with it whatever of the same agent would expire no later than `floor`. */
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

/** Where the owner of a key ends, its mark included: so that keys of two kinds never have one owner. */
function ownerEnd(key: string): number {
  const dot = key.indexOf('.')
  const end = dot >= 0 ? dot : key.indexOf('~')
  return end > 0 ? end + 1 : 0
}
