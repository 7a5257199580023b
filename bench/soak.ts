/**
 * `npm run bench:soak [minutes]`: the heap during ten minutes at full load. Each request has a new agent and
 * a new token. Writes `bench/soak.md`. Fails if the heap still grows when the caches are full.
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

if (process.send !== undefined) generateRequests()
else await soak(Number(process.argv[2] ?? 10))

/** The child process: makes agents, tokens and proofs, one batch for each message. */
function generateRequests(): void {
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
  const generator = fork(new URL(import.meta.url))
  const received = <T>() =>
    new Promise<T>((resolve) => generator.once('message', (message) => resolve(message as T)))
  const jwks = await received<{ keys: [] }>()
  // An eighth of the default sizes, so that the caches are full for nearly the whole time.
  const cache = { tokens: 16 * 2 ** 20, proofKeys: 4 * 2 ** 20 }
  const replayStore = memoryReplayStore({ maxEntries: 50_000 })
  const verifier = createVerifier(benchPolicy({ ...createWorkload(), jwks }), { cache, replayStore })
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void

  const began = performance.now()
  const elapsed = () => (performance.now() - began) / 60_000
  const samples: { minute: number; heap: number; buffers: number; resident: number }[] = []
  let served = 0
  let next = -1
  generator.send('more')
  while (elapsed() < minutes) {
    const requests = await received<BenchRequest[]>()
    generator.send('more')
    for (const request of requests) {
      const decision = await verifier.verify(request)
      if (decision.outcome !== 'allow') throw new Error(`denied: ${JSON.stringify(decision)}`)
    }
    served += requests.length
    if (elapsed() > next) {
      gc()
      const { heapUsed, arrayBuffers, rss } = process.memoryUsage()
      const [heap, buffers, resident] = [heapUsed, arrayBuffers, rss].map((bytes) => bytes / 2 ** 20) as [
        number,
        number,
        number,
      ]
      samples.push({ minute: elapsed(), heap, buffers, resident })
      console.log(
        `${fixed(elapsed(), 2)} min: ${fixed(heap)} MiB of heap, ${fixed(resident)} MiB resident, ` +
          `${served} requests`,
      )
      next = elapsed() + minutes / 60
    }
  }
  generator.disconnect()

  const between = (from: number, to: number) =>
    samples.filter(({ minute }) => minute >= from * minutes && minute < to * minutes)
  const early = median(between(0.3, 0.5).map(({ heap }) => heap))
  const late = median(between(0.8, 1).map(({ heap }) => heap))
  const growth = late / early
  const report = createReport('soak.md', 'Ten minutes at full load')
  report.text(
    `Written by \`npm run bench:soak\` on ${new Date().toISOString().slice(0, 10)}, of commit ` +
      `${commit()}: ${machine()}.`,
    `${fixed(served, 0)} requests in ${fixed(minutes, 0)} minutes, each of a new agent with a new ` +
      'token, to one verifier with `cache: { tokens: 16 MiB, proofKeys: 4 MiB }` and ' +
      '`memoryReplayStore({ maxEntries: 50_000 })`. All of them are full, and evict entries, from the ' +
      'first minute on.',
    `The heap after garbage collection is ${fixed(early)} MiB from 30 to 50 % of the time, and ` +
      `${fixed(late)} MiB in the last 20 %, which is ${fixed((growth - 1) * 100)} % more.`,
  )
  report.picture(
    'soak',
    'Memory over the minutes',
    plot({ x: 'minutes', y: 'MiB', isLogarithmic: false }, [
      { name: 'heap, after garbage collection', points: samples.map(({ minute, heap }) => [minute, heap]) },
      { name: 'array buffers', points: samples.map(({ minute, buffers }) => [minute, buffers]) },
      { name: 'resident', points: samples.map(({ minute, resident }) => [minute, resident]) },
    ]),
  )
  report.write()
  if (growth > 1.05) throw new Error('the heap grows by more than 5 %: look for a leak')
}
