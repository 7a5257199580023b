import { AsyncResource } from 'node:async_hooks'
import { Buffer } from 'node:buffer'
import { verify as verifySignature } from 'node:crypto'
import type { MaybePromise } from '../lib/promise.js'
import type { Algorithm } from './algorithms.js'
import type { PublicKey } from './jwk.js'
import { isSignedBy } from './jws.js'

/** Whether the key made this signature over this input: synchronously, or in the thread pool. Never throws. */
export type SignatureCheck = (
  key: PublicKey,
  algorithm: Algorithm,
  input: string,
  signature: string,
) => MaybePromise<boolean>

/** Most signatures in the thread pool: more would only delay other users of the pool, such as DNS. */
const maxInPool = 64

/**
 * Milliseconds from one look at what waits to the next. What was there already at the last one is no longer waited for:
 * something has blocked the pool, as a host name does that does not resolve.
 */
const watchInterval = 50

/** Looks after which a signature is late. */
const looksUntilLate = 2

/** Taken when this is loaded: a test that replaces it for a while must not lose a rescue. */
const { setImmediate } = globalThis

/** A signature in the pool. */
interface Job {
  /** How often it was seen waiting. */
  looks: number
  /** Verifies it on the event loop; what the pool answers later is ignored. */
  rescue(): void
}

/**
 * Verifies on the event loop while one request is decided at a time, which has the lowest latency. Where `isBusy` says
 * that there are others, in the thread pool, so that other cores take their part. An RSA signature is always verified on
 * the loop: that takes less time than the way to the pool and back.
 *
 * Late signatures are verified on the loop after all, one in each of its turns: all in one turn would block it for
 * hundreds of milliseconds, and between two turns the pool may answer.
 */
export function createSignatureCheck(isBusy: () => boolean): SignatureCheck {
  // In the order in which they came: late ones are in front.
  const waiting = new Set<Job>()
  let inPool = 0
  let timer: NodeJS.Timeout | undefined
  let isRescueDue = false

  /** One timer for all that wait, and none while nothing does. */
  const watch = outsideRequests(() => {
    timer = setTimeout(() => {
      for (const job of waiting) job.looks += 1
      rescueInNextTurn()
      if (waiting.size > 0) watch()
    }, watchInterval)
    timer.unref?.()
  })

  /** `setImmediate` runs after the answers of the pool that are there already. */
  function rescueInNextTurn(): void {
    if (isRescueDue || firstLate() === undefined) return
    isRescueDue = true
    setImmediate(() => {
      isRescueDue = false
      firstLate()?.rescue()
      rescueInNextTurn()
    })
  }

  function firstLate(): Job | undefined {
    const [first] = waiting
    return first !== undefined && first.looks >= looksUntilLate ? first : undefined
  }

  function leave(job: Job): void {
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
        looks: 0,
        rescue() {
          leave(job)
          resolve(isSignedBy(key, algorithm, input, signature))
        },
      }
      const answer = (error: Error | null, isValid: boolean) => {
        inPool -= 1
        leave(job)
        resolve(error === null && isValid)
      }
      inPool += 1
      waiting.add(job)
      if (timer === undefined) watch()
      const { dsaEncoding } = algorithm.options
      const bytes = Buffer.from(input, 'latin1')
      try {
        const signatureBytes = Buffer.from(signature, 'base64url')
        verifySignature(algorithm.digest, bytes, { key: key.object, dsaEncoding }, signatureBytes, answer)
      } catch (error) {
        answer(error as Error, false)
      }
    })
  }
}

/** Without it, whatever one request has in its AsyncLocalStorage would stay for as long as others wait. */
function outsideRequests(run: () => void): () => void {
  return AsyncResource.bind(run)
}
