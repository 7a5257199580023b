import { Buffer } from 'node:buffer'
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/** Half of the longest life of a nonce, in seconds. */
const slotLength = 60

/** The longest that a nonce is accepted, in seconds. */
export const maxNonceLife = 2 * slotLength

/** Nonces that this server, and every server with its secret, recognises without remembering any. */
export interface Nonces {
  /** The nonce to send now. */
  current(now: number): string
  /** When the nonce stops being accepted, in seconds; undefined where it is neither the current one nor the last. */
  acceptedUntil(nonce: unknown, now: number): number | undefined
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
    acceptedUntil(nonce, now) {
      if (typeof nonce !== 'string' || nonce.length !== 43) return undefined
      const given = Buffer.from(nonce, 'latin1')
      const slot = Math.floor(now / slotLength)
      const match = [slot, slot - 1].find((candidate) => {
        const expected = Buffer.from(nonceOf(candidate), 'latin1')
        return expected.length === given.length && timingSafeEqual(expected, given)
      })
      return match === undefined ? undefined : (match + 2) * slotLength
    },
  }
}
