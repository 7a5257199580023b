/**
 * `npx tsx bench/replay-store.ts`: the cost of the replay store in memory. Bytes per entry, nanoseconds per
 * call, and the longest call, while the store grows to a million entries, runs at several sizes, is flooded
 * when full, and drops a million expired entries at once. A `Map` that never expires entries is measured for
 * comparison.
 */
import { createHash } from 'node:crypto'
import { cpus } from 'node:os'
import { createHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { memoryReplayStore } from '../src/stores/memory/replay.js'

const MILLION = 1_000_000
const BATCH = 1000
const LIFE = 65

interface Contender {
  remember(key: string, ttl: number): boolean
  readonly size: number
}

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void
const clock = { seconds: 1_000_000 }
const now = () => clock.seconds * 1000
let serial = 0

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

const someAgents = Array.from({ length: 50 }, (_, agent) => digest(`agent ${agent}`))

/**
 * New keys, of fifty agents or of a new agent each. They are flat strings in a warm cache, as in a request.
 */
function keys(count: number, agents: 'few' | 'many'): string[] {
  return Array.from({ length: count }, () => {
    const agent = agents === 'few' ? (someAgents[serial % 50] as string) : digest(`agent ${serial}`)
    return Buffer.from(`${agent}.${digest(String(serial++))}`).toString('latin1')
  })
}

function newMap(): Contender {
  const entries = new Map<string, number>()
  return {
    remember(key, ttl) {
      if (entries.has(key)) return false
      entries.set(key, clock.seconds + ttl)
      return true
    },
    get size() {
      return entries.size
    },
  }
}

function assertCorrect(name: string, contender: Contender): void {
  const [key] = keys(1, 'few') as [string]
  if (!contender.remember(key, LIFE) || contender.remember(key, LIFE))
    throw new Error(`${name} does not detect a replay`)
}

function memory(): number {
  gc()
  gc()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const rows: string[][] = []

/**
 * Calls `remember` with `count` new keys, `step` seconds apart. Records mean, percentiles and the longest
 * call.
 */
async function measure(
  name: string,
  store: Contender,
  count: number,
  options: { step?: number; agents?: 'few' | 'many'; ttl?: number } = {},
): Promise<void> {
  const { step = 0, agents = 'few', ttl = LIFE } = options
  const each = createHistogram()
  const means: number[] = []
  for (let done = 0; done < count; done += BATCH) {
    const batch = keys(BATCH, agents)
    // Half the batches are timed as a whole, half by call, because reading the clock costs as much as a call.
    if ((done / BATCH) % 2 === 0) {
      const began = process.hrtime.bigint()
      for (const key of batch) {
        clock.seconds += step
        store.remember(key, ttl)
      }
      means.push(Number(process.hrtime.bigint() - began) / BATCH)
    } else {
      for (const key of batch) {
        clock.seconds += step
        const began = process.hrtime.bigint()
        store.remember(key, ttl)
        each.record(process.hrtime.bigint() - began || 1n)
      }
    }
    if ((done / BATCH) % 10 === 0) await turn()
  }
  means.sort((one, other) => one - other)
  const ns = (value: number | undefined) => Math.round(value ?? 0).toLocaleString('en')
  const longest = `${(each.max / 1e6).toFixed(3)}`
  rows.push([
    name,
    ns(store.size),
    ns(means[means.length >> 1]),
    ns(each.percentile(99)),
    ns(each.percentile(99.99)),
    longest,
  ])
}

/** Bytes per entry at a million entries, of fifty agents or of a million. */
function bytesPerEntry(make: () => Contender, agents: 'few' | 'many'): number {
  const before = memory()
  const store = make()
  for (let done = 0; done < MILLION; done += BATCH)
    for (const key of keys(BATCH, agents)) store.remember(key, LIFE)
  const after = memory()
  return Math.round((after - before) / store.size)
}

const make = () => memoryReplayStore({ now })
assertCorrect('memoryReplayStore', make())
assertCorrect('Map', newMap())

console.log(`Node ${process.version}, ${cpus()[0]?.model}, ${cpus().length} cores`)
console.log('\nBytes per entry at 1,000,000 entries:')
console.log(`  memoryReplayStore, 50 agents:       ${bytesPerEntry(make, 'few')}`)
console.log(`  memoryReplayStore, 1,000,000 agents: ${bytesPerEntry(make, 'many')}`)
console.log(`  Map of strings, 50 agents:          ${bytesPerEntry(newMap, 'few')}`)

const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()
for (const live of [1000, 10_000, 100_000, MILLION]) {
  const store = memoryReplayStore({ now, maxEntries: 2 * MILLION })
  const step = LIFE / live
  for (const key of keys(live, 'few')) {
    clock.seconds += step
    store.remember(key, LIFE)
  }
  await measure(`as many expire as are added, ${live.toLocaleString('en')} live`, store, 200_000, { step })
}
const filling = make()
await measure('growing from 0 to 1,000,000', filling, MILLION, { step: 1e-6, ttl: 3600 })
await measure('full, each call evicts', filling, 200_000, { step: 0.01, ttl: 3600 })
clock.seconds += 10_000
await measure('a million expired at once', filling, 200_000)
await measure('a new agent with each call, growing', make(), MILLION, {
  agents: 'many',
  step: 1e-6,
  ttl: 3600,
})
await measure('Map, growing from 0 to 1,000,000', newMap(), MILLION)
delay.disable()

const head = ['case', 'entries', 'ns per call', 'p99 ns', 'p99.99 ns', 'longest call, ms']
console.log(`\n| ${head.join(' | ')} |\n|${head.map(() => '---').join('|')}|`)
for (const row of rows) console.log(`| ${row.join(' | ')} |`)
console.log(
  `\nEvent-loop delay of the whole run, including the generation of keys, p99: ` +
    `${(delay.percentile(99) / 1e6).toFixed(1)} ms`,
)
