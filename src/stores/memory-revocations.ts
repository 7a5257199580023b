import { checkRevocation } from './revocation.js'

/** Entries looked at per call for having expired. */
const SWEEP = 4

/** A revocation list in memory; see {@link memoryRevocations}. */
export interface MemoryRevocations {
  isRevoked(ids: readonly string[]): boolean
  revoke(id: string, until: number): void
  /** Ids held, those included that have expired and wait to be swept. */
  readonly size: number
}

/**
 * The revocation list of one process. `revoke(id, until)` refuses whatever bears `id` until `until`, in seconds
 * since the epoch: at least the `exp` of the last token in question plus the clock tolerance. A later call can
 * lengthen an entry, never shorten it. Throws `TypeError` for an id that is not qualified or a time in milliseconds.
 */
export function memoryRevocations({
  now = () => Date.now(),
}: {
  now?: () => number
} = {}): MemoryRevocations {
  const untilById = new Map<string, number>()
  let hand = untilById.entries()

  function isRevoked(ids: readonly string[]): boolean {
    if (untilById.size === 0) return false
    const time = now() / 1000
    sweep(time)
    for (const id of ids) {
      const until = untilById.get(id)
      if (until !== undefined && until > time) return true
    }
    return false
  }

  function revoke(id: string, until: number): void {
    checkRevocation('memoryRevocations', id, until)
    sweep(now() / 1000)
    untilById.set(id, Math.max(until, untilById.get(id) ?? 0))
  }

  /** Goes round over the entries, a few per call: no timer, and no call that pays for a long list. */
  function sweep(time: number): void {
    for (let step = 0; step < SWEEP; step++) {
      const next = hand.next()
      if (next.done) {
        hand = untilById.entries()
        return
      }
      if (next.value[1] <= time) untilById.delete(next.value[0])
    }
  }

  return {
    isRevoked,
    revoke,
    get size() {
      return untilById.size
    },
  }
}
