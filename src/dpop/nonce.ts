import { Buffer } from 'node:buffer'
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/** Seconds for which one nonce is sent. After a replay store lost its memory, proofs pass with the next one. */
const slotLength = 10

/** How many slots a nonce is accepted in, that in which it is sent included. */
const acceptedSlots = 12

/** The longest that a nonce is accepted, in seconds. */
export const maxNonceLife = acceptedSlots * slotLength

/** Stateless nonces: every server with the same secret accepts them. */
export interface Nonces {
  /** The nonce to send now. */
  current(now: number): string
  /**
   * When the nonce stops being accepted, in seconds; undefined where it is none that was sent lately. A server whose
   * clock is ahead by `clockTolerance` seconds, 10 at most, may have sent it.
   */
  acceptedUntil(nonce: unknown, now: number, clockTolerance: number): number | undefined
}

/**
 * Nonces as RFC 9449 section 9 has them: the MAC of a time slot, so that they are unpredictable, need no store,
 * and are good for 100 to 120 seconds. `now` is in seconds.
 */
export function createNonces(secret: string | Uint8Array = randomBytes(32)): Nonces {
  const known = new Map<number, string>()

  function nonceOf(slot: number): string {
    let nonce = known.get(slot)
    if (nonce === undefined) {
      nonce = createHmac('sha256', secret).update(`ajwt dpop nonce ${slot}`).digest('base64url')
      if (known.size > 2 * acceptedSlots) known.clear()
      known.set(slot, nonce)
    }
    return nonce
  }

  return {
    current: (now) => nonceOf(Math.floor(now / slotLength)),
    acceptedUntil(nonce, now, clockTolerance) {
      if (typeof nonce !== 'string' || nonce.length !== 43) return undefined
      const given = Buffer.from(nonce, 'latin1')
      const latest = Math.floor((now + Math.min(clockTolerance, slotLength)) / slotLength)
      for (let candidate = latest; candidate > latest - acceptedSlots; candidate--) {
        const expected = Buffer.from(nonceOf(candidate), 'latin1')
        if (expected.length === given.length && timingSafeEqual(expected, given))
          return (candidate + acceptedSlots) * slotLength
      }
      return undefined
    },
  }
}
