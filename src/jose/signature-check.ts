import { Buffer } from 'node:buffer'
import { verify as verifySignature } from 'node:crypto'
import type { Maybe } from '../maybe.js'
import type { Algorithm } from './algorithms.js'
import { isSignedBy } from './jws.js'
import type { PublicKey } from './public-key.js'

/** Whether the key made this signature over this input: at once, or once the thread pool has found out. Never throws. */
export type SignatureCheck = (
  key: PublicKey,
  algorithm: Algorithm,
  input: string,
  signature: Buffer,
) => Maybe<boolean>

/** More of them would only wait there, and everything else that needs a thread with them: files, host names. */
const maxInPool = 64

/** Milliseconds after which the pool is taken for blocked: a host name that does not resolve holds a thread for seconds. */
const maxWait = 100

/**
 * Verifies on the event loop while one request is decided at a time: nothing answers sooner. Where `isBusy` says that
 * others are under way, in the thread pool, so that the other cores take their part. An RSA signature always on the
 * loop: it is verified in less time than the way to the pool and back takes.
 */
export function createSignatureCheck(isBusy: () => boolean): SignatureCheck {
  let inPool = 0

  return (key, algorithm, input, signature) => {
    if (!isBusy() || algorithm.kty === 'RSA' || inPool >= maxInPool) {
      return isSignedBy(key, algorithm, input, signature)
    }
    return new Promise((resolve) => {
      inPool += 1
      const timer = setTimeout(() => resolve(isSignedBy(key, algorithm, input, signature)), maxWait)
      timer.unref?.()
      const answer = (error: Error | null, isValid: boolean) => {
        inPool -= 1
        clearTimeout(timer)
        resolve(error === null && isValid)
      }
      const { dsaEncoding } = algorithm.options
      const bytes = Buffer.from(input, 'latin1')
      try {
        verifySignature(algorithm.digest, bytes, { key: key.object, dsaEncoding }, signature, answer)
      } catch (error) {
        answer(error as Error, false)
      }
    })
  }
}
