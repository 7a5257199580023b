/** Memory of cached tokens, keys, assertions and proofs. */
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

/** Bytes in use after garbage collection, on the V8 heap and in array buffers. */
async function usedBytes(): Promise<number> {
  for (let time = 0; time < 3; time++) {
    gc()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const withoutReplayMemory: VerifierOptions = { replayStore: { remember: () => true } }

/** Bytes that each of `count` requests adds. */
async function bytesPerRequest(
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
  const before = await usedBytes()
  for (let n = 0; n < count; n++) await ask()
  const after = await usedBytes()
  await ask()
  return (after - before) / count
}

export async function memorySection(report: Report): Promise<void> {
  report.heading('Memory')
  const token = await bytesPerRequest(4000, withoutReplayMemory, (agent, workload) => workload.token(agent))
  const both = await bytesPerRequest(
    4000,
    withoutReplayMemory,
    (agent, workload) => workload.token(agent),
    (workload) => workload.agent(),
  )
  const chained = await bytesPerRequest(400, withoutReplayMemory, (agent, workload) =>
    workload.delegatedToken(agent, 3),
  )
  const hashes = new Cache<true>(2 ** 30, () => 1)
  const beforeHashes = await usedBytes()
  for (let entry = 0; entry < 50_000; entry++) hashes.set(randomBytes(32).toString('base64url'), true)
  const hash = ((await usedBytes()) - beforeHashes) / hashes.count
  const entries = 1_000_000
  const before = await usedBytes()
  const store = memoryReplayStore({ maxEntries: entries })
  for (let entry = 0; entry < entries; entry++) {
    store.remember(`${(entry % 50).toString().padStart(43, '-')}.${entry.toString().padStart(43, '-')}`, 600)
  }
  const replay = ((await usedBytes()) - before) / store.size
  const mebibytes = (bytes: number) => `${bytes / 2 ** 20} MiB`
  report.text(
    'Bytes on the V8 heap and in array buffers, without the memory of OpenSSL for a key. The caches are ' +
      'limited by an estimate that includes this memory and the largest tokens. So they keep fewer ' +
      'entries than these figures suggest.',
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
