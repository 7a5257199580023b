/** What is kept, and how much memory it takes. */
import { randomBytes } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createVerifier, memoryReplayStore, type VerifierOptions } from '../../src/index.js'
import { Cache, cacheDefaults } from '../../src/lib/cache.js'
import { benchPolicy } from './contenders.js'
import { fixed, type Report } from './report.js'
import { type BenchAgent, createWorkload } from './workload.js'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

/** Bytes that something still holds, on the heap of V8 and beside it. */
async function held(): Promise<number> {
  for (let time = 0; time < 3; time++) {
    gc()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const forgetful: VerifierOptions = { replayStore: { remember: () => true } }

/** Bytes that each of `count` requests leaves behind. */
async function leftBehind(
  count: number,
  options: VerifierOptions,
  tokenOf: (agent: BenchAgent, workload: ReturnType<typeof createWorkload>) => string,
  agentOf?: (workload: ReturnType<typeof createWorkload>) => BenchAgent,
): Promise<number> {
  const workload = createWorkload()
  const verifier = createVerifier(benchPolicy(workload), options)
  const known = workload.agent()
  const ask = async () => {
    const agent = agentOf?.(workload) ?? known
    await verifier.verify(workload.request(agent, tokenOf(agent, workload)))
  }
  for (let n = 0; n < 500; n++) await ask()
  const before = await held()
  for (let n = 0; n < count; n++) await ask()
  const after = await held()
  await ask()
  return (after - before) / count
}

export async function memorySection(report: Report): Promise<void> {
  report.heading('Memory')
  const token = await leftBehind(4000, forgetful, (agent, workload) => workload.token(agent))
  const both = await leftBehind(
    4000,
    forgetful,
    (agent, workload) => workload.token(agent),
    (workload) => workload.agent(),
  )
  const chained = await leftBehind(400, forgetful, (agent, workload) => workload.delegatedToken(agent, 3))
  const hashes = new Cache<true>(2 ** 30, () => 1)
  const beforeHashes = await held()
  for (let entry = 0; entry < 50_000; entry++) hashes.set(randomBytes(32).toString('base64url'), true)
  const hash = ((await held()) - beforeHashes) / hashes.count
  const entries = 1_000_000
  const before = await held()
  const store = memoryReplayStore({ maxEntries: entries })
  for (let entry = 0; entry < entries; entry++) {
    store.remember(`${(entry % 50).toString().padStart(43, '-')}.${entry.toString().padStart(43, '-')}`, 600)
  }
  const replay = ((await held()) - before) / store.size
  const mebibytes = (bytes: number) => `${bytes / 2 ** 20} MiB`
  report.text(
    'Bytes on the heap of V8 and in array buffers; what OpenSSL takes for a key is not among them. The caches are bounded by ' +
      'an estimate, which allows for it and for the largest tokens, and so keep fewer entries than these figures would.',
  )
  report.table(
    ['', 'bytes each', 'bound', 'default'],
    [
      ['verified token', fixed(token, 0), '`cache.tokens`', mebibytes(cacheDefaults.tokens)],
      ['verified token with a chain of three hops', fixed(chained, 0), '`cache.tokens`', ''],
      ['key of an agent', fixed(both - token, 0), '`cache.proofKeys`', mebibytes(cacheDefaults.proofKeys)],
      [
        'hash of a verified assertion',
        fixed(hash, 0),
        '`cache.assertions`',
        mebibytes(cacheDefaults.assertions),
      ],
      ['proof remembered', fixed(replay, 0), '`memoryReplayStore({ maxEntries })`', '1,000,000'],
    ],
  )
}
