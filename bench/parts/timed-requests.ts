import type { Verifier } from '../../src/index.js'
import type { Timed } from './statistics.js'
import type { BenchRequest } from './workload.js'

/** Requests that the verifier must allow, one after the other. `make` is not timed. */
export function timedRequests(name: string, verifier: Verifier, make: () => BenchRequest): Timed {
  return {
    name,
    round(runs) {
      const requests = Array.from({ length: runs }, make)
      return async () => {
        for (const request of requests) {
          const decision = await verifier.verify(request)
          if (decision.outcome !== 'allow') throw new Error(`${name}: denied: ${JSON.stringify(decision)}`)
        }
      }
    },
  }
}
