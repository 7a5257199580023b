import { AsyncResource } from 'node:async_hooks'
import { isSignedBy, verifyInPool } from './node-key.js'
import type { SignatureCheck } from './public-key.js'

// `#signature` on Node, Bun and Deno. src/jws/signature-web.ts has the same exports for every other runtime.

export { importJwk, isSignedBy } from './node-key.js'

/** Most signatures in the thread pool: more would only delay other users of the pool, such as DNS. */
const maxInPool = 64

/**
 * Milliseconds between two checks of the waiting signatures. A name that does not resolve can block the pool.
 */
const checkInterval = 50

/** Checks after which a signature counts as late. */
const checksUntilLate = 2

/** Taken at load: a test that replaces it for a while must not lose a late signature. */
const { setImmediate } = globalThis

/** A signature in the pool. */
interface Job {
  /** How many checks have found it waiting. */
  checks: number
  /** Verifies it on the event loop. A later answer of the pool is ignored. */
  verifyOnLoop(): void
}

/**
 * Verifies a lone signature on the event loop, which has the lowest latency. If `isBusy` returns true, there
 * are other requests: it uses the thread pool, and so the other cores. RSA stays on the loop: it costs less
 * than the round trip.
 *
 * Late signatures are verified on the loop after all, one per tick: all in one tick would block it for
 * hundreds of milliseconds, and the pool may answer between two ticks.
 */
export function createSignatureCheck(isBusy: () => boolean): SignatureCheck {
  // In the order of arrival: late ones are in front.
  const waiting = new Set<Job>()
  let inPool = 0
  let timer: NodeJS.Timeout | undefined
  let isVerificationDue = false

  /** One timer for all jobs, and none while there is no job. */
  const watch = outsideRequests(() => {
    timer = setTimeout(() => {
      for (const job of waiting) job.checks += 1
      verifyLateInNextTick()
      if (waiting.size > 0) watch()
    }, checkInterval)
    timer.unref?.()
  })

  /** `setImmediate` runs after the answers of the pool that have arrived. */
  function verifyLateInNextTick(): void {
    if (isVerificationDue || firstLate() === undefined) return
    isVerificationDue = true
    setImmediate(() => {
      isVerificationDue = false
      firstLate()?.verifyOnLoop()
      verifyLateInNextTick()
    })
  }

  function firstLate(): Job | undefined {
    const [first] = waiting
    return first !== undefined && first.checks >= checksUntilLate ? first : undefined
  }

  function remove(job: Job): void {
    waiting.delete(job)
    if (waiting.size > 0) return
    clearTimeout(timer)
    timer = undefined
  }

  return (key, algorithm, input, signature) => {
    if (!isBusy() || algorithm.kty === 'RSA' || inPool >= maxInPool) {
      return isSignedBy(key, algorithm, input, signature)
    }
    return new Promise((resolve) => {
      const job: Job = {
        checks: 0,
        verifyOnLoop() {
          remove(job)
          resolve(isSignedBy(key, algorithm, input, signature))
        },
      }
      const answer = (error: unknown, isValid: boolean) => {
        inPool -= 1
        remove(job)
        resolve(error === null && isValid)
      }
      inPool += 1
      waiting.add(job)
      if (timer === undefined) watch()
      try {
        verifyInPool(key, algorithm, input, signature, answer)
      } catch (error) {
        answer(error, false)
      }
    })
  }
}

/** Otherwise the timer would keep the AsyncLocalStorage of the request that started it. */
function outsideRequests(run: () => void): () => void {
  return AsyncResource.bind(run)
}
