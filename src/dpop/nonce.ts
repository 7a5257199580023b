import { hmacSha256, isSameSecret } from '#runtime'

/**
 * Seconds for which one nonce is sent. After a replay store lost its memory, proofs pass with the next one.
 */
const slotLength = 10

/** Slots in which a nonce is accepted, the one included in which it is sent. */
const acceptedSlots = 12

/** The longest time that a nonce is accepted, in seconds. */
export const maxNonceLife = acceptedSlots * slotLength

/** Nonces without a store: every server with the same secret accepts them. */
export interface Nonces {
  /** The nonce to send at this time. */
  current(now: number): string
  /**
   * The time at which the nonce stops being accepted, in seconds. Undefined for a nonce that was not sent
   * lately. The clock of the server that sent it may be ahead by `clockTolerance` seconds, 10 at most.
   */
  acceptedUntil(nonce: unknown, now: number, clockTolerance: number): number | undefined
}

/**
 * Nonces (RFC 9449 section 9): the MAC of a time slot. They are unpredictable, need no store and are accepted
 * for 100 to 120 seconds. `now` is in seconds. The default secret is random.
 */
export function createNonces(secret?: string | Uint8Array): Nonces {
  const known = new Map<number, string>()
  let key = secret

  function nonceOf(slot: number): string {
    let nonce = known.get(slot)
    if (nonce === undefined) {
      // Not before the first request: Workers have no randomness while a module loads.
      key ??= crypto.getRandomValues(new Uint8Array(32))
      nonce = hmacSha256(key, `ajwt dpop nonce ${slot}`)
      if (known.size > 2 * acceptedSlots) known.clear()
      known.set(slot, nonce)
    }
    return nonce
  }

  return {
    current: (now) => nonceOf(Math.floor(now / slotLength)),
    acceptedUntil(nonce, now, clockTolerance) {
      if (typeof nonce !== 'string' || nonce.length !== 43) return undefined
      const latest = Math.floor((now + Math.min(clockTolerance, slotLength)) / slotLength)
      for (let candidate = latest; candidate > latest - acceptedSlots; candidate--) {
        if (isSameSecret(nonceOf(candidate), nonce)) return (candidate + acceptedSlots) * slotLength
      }
      return undefined
    },
  }
}
