/**
 * `npm run bench:soak [minutes]`: ten minutes at full load, each request by an agent and with a token that nobody has
 * seen, and what the heap of the process does meanwhile. Writes `bench/soak.md`; fails where the heap still grows
 * once the caches are full.
 */
import { fork } from 'node:child_process'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createVerifier, memoryReplayStore } from '../src/index.js'
import { benchPolicy } from './parts/contenders.js'
import { plot } from './parts/plot.js'
import { commit, createReport, fixed, machine } from './parts/report.js'
import { median } from './parts/statistics.js'
import { type BenchRequest, createWorkload } from './parts/workload.js'

const batch = 200

if (process.send !== undefined) mint()
else await soak(Number(process.argv[2] ?? 10))

/** The other process: makes agents, tokens and proofs, a batch whenever one is asked for. */
function mint(): void {
  const workload = createWorkload()
  process.send?.(workload.jwks)
  process.on('message', () => {
    const requests = Array.from({ length: batch }, () => {
      const agent = workload.agent()
      return workload.request(agent, workload.token(agent))
    })
    process.send?.(requests)
  })
  process.on('disconnect', () => process.exit())
}

async function soak(minutes: number): Promise<void> {
  const minter = fork(new URL(import.meta.url))
  const answer = <T>() =>
    new Promise<T>((resolve) => minter.once('message', (message) => resolve(message as T)))
  const jwks = await answer<{ keys: [] }>()
  // An eighth of what they are by default, so that they are full for nearly all of the time.
  const cache = { tokens: 16 * 2 ** 20, proofKeys: 4 * 2 ** 20 }
  const replayStore = memoryReplayStore({ maxEntries: 50_000 })
  const verifier = createVerifier(benchPolicy({ ...createWorkload(), jwks }), { cache, replayStore })
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void

  const began = performance.now()
  const elapsed = () => (performance.now() - began) / 60_000
  const samples: { minute: number; heap: number; beside: number; resident: number }[] = []
  let served = 0
  let next = -1
  minter.send('more')
  while (elapsed() < minutes) {
    const requests = await answer<BenchRequest[]>()
    minter.send('more')
    for (const request of requests) {
      const decision = await verifier.verify(request)
      if (decision.outcome !== 'allow') throw new Error(`refused: ${JSON.stringify(decision)}`)
    }
    served += requests.length
    if (elapsed() > next) {
      gc()
      const { heapUsed, arrayBuffers, rss } = process.memoryUsage()
      const [heap, beside, resident] = [heapUsed, arrayBuffers, rss].map((bytes) => bytes / 2 ** 20) as [
        number,
        number,
        number,
      ]
      samples.push({ minute: elapsed(), heap, beside, resident })
      console.log(
        `${fixed(elapsed(), 2)} min: ${fixed(heap)} MiB of heap, ${fixed(resident)} MiB resident, ${served} requests`,
      )
      next = elapsed() + minutes / 60
    }
  }
  minter.disconnect()

  const between = (from: number, to: number) =>
    samples.filter(({ minute }) => minute >= from * minutes && minute < to * minutes)
  const early = median(between(0.3, 0.5).map(({ heap }) => heap))
  const late = median(between(0.8, 1).map(({ heap }) => heap))
  const growth = late / early
  const report = createReport('bench', 'soak.md', 'Ten minutes at full load')
  report.text(
    `Written by \`npm run bench:soak\` on ${new Date().toISOString().slice(0, 10)}, of commit ${commit()}: ${machine()}.`,
    `${fixed(served, 0)} requests in ${fixed(minutes, 0)} minutes, each of a new agent with a new token, to one verifier with ` +
      '`cache: { tokens: 16 MiB, proofKeys: 4 MiB }` and `memoryReplayStore({ maxEntries: 50_000 })`, so that all of them are ' +
      'full, and evict, from the first minute on.',
    `The heap, after a collection: ${fixed(early)} MiB from the third to the fifth tenth of the time, ${fixed(late)} MiB in its last fifth, which is ` +
      `${fixed((growth - 1) * 100)} % more.`,
  )
  report.picture(
    'soak',
    'Memory over the minutes',
    plot({ x: 'minutes', y: 'MiB', isLogarithmic: false }, [
      { name: 'heap, after a collection', points: samples.map(({ minute, heap }) => [minute, heap]) },
      { name: 'array buffers', points: samples.map(({ minute, beside }) => [minute, beside]) },
      { name: 'resident', points: samples.map(({ minute, resident }) => [minute, resident]) },
    ]),
  )
  report.write()
  if (growth > 1.05) throw new Error('the heap grows')
}
