/** A separate process: times requests in the release of Node that runs it, and prints them as JSON. */
import type { Timing } from './statistics.js'
import { verifyTimings } from './verify.js'
import { type BenchAlgorithm, createWorkload } from './workload.js'

export interface ReleaseTimings {
  readonly node: string
  readonly openssl: string
  readonly requests: Readonly<Record<string, readonly Timing[]>>
}

const requests: Record<string, Timing[]> = {}
for (const algorithm of ['ES256', 'EdDSA', 'RS256'] satisfies BenchAlgorithm[]) {
  requests[algorithm] = await verifyTimings(
    createWorkload(algorithm),
    algorithm,
    algorithm === 'ES256' ? 50 : 25,
  )
}
const { node, openssl } = process.versions
console.log(JSON.stringify({ node, openssl, requests } satisfies ReleaseTimings))
