import { Buffer } from 'node:buffer'
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/** Half of the longest life of a nonce, in seconds. */
const slotLength = 60

/** Nonces that this server, and every server with its secret, recognises without remembering any. */
export interface Nonces {
  /** The nonce to send now. */
  current(now: number): string
  /** Whether it is the current nonce or the one before it. */
  isCurrent(nonce: unknown, now: number): boolean
}

/**
 * Nonces as RFC 9449 section 9 has them: the MAC of a time slot, so that they are unpredictable, need no store,
 * and are good for 60 to 120 seconds. `now` is in seconds.
 */
export function createNonces(secret: string | Uint8Array = randomBytes(32)): Nonces {
  const known = new Map<number, string>()

  function nonceOf(slot: number): string {
    let nonce = known.get(slot)
    if (nonce === undefined) {
      nonce = createHmac('sha256', secret).update(`ajwt dpop nonce ${slot}`).digest('base64url')
      if (known.size > 2) known.clear()
      known.set(slot, nonce)
    }
    return nonce
  }

  return {
    current: (now) => nonceOf(Math.floor(now / slotLength)),
    isCurrent(nonce, now) {
      if (typeof nonce !== 'string' || nonce.length !== 43) return false
      const given = Buffer.from(nonce, 'latin1')
      const slot = Math.floor(now / slotLength)
      return [slot, slot - 1].some((candidate) => {
        const expected = Buffer.from(nonceOf(candidate), 'latin1')
        return expected.length === given.length && timingSafeEqual(expected, given)
      })
    },
  }
}
