import { checkRevocation, revocationList } from '../revocation-list.js'

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
 * `now` gives milliseconds.
 */
export function memoryRevocations({
  now = () => Date.now(),
}: {
  now?: () => number
} = {}): MemoryRevocations {
  const list = revocationList(now)
  return {
    isRevoked: list.isRevoked,
    revoke(id, until) {
      checkRevocation('memoryRevocations', id, until)
      list.add(id, until)
    },
    get size() {
      return list.size
    },
  }
}
