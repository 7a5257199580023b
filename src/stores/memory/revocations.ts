import { checkId, checkRevocation, type Revocation, revocationList } from '../revocation-list.js'

/** A revocation list in memory; see {@link memoryRevocations}. */
export interface MemoryRevocations {
  isRevoked(ids: readonly string[]): boolean
  revoke(id: string, until: number): void
  /** Takes a revocation back: what bears `id` passes again. */
  unrevoke(id: string): void
  /** What is revoked now. */
  list(): Revocation[]
  /** Ids held, those included that have expired and wait to be swept. */
  readonly size: number
}

/**
 * The revocation list of one process. `revoke(id, until)` refuses whatever bears `id` until `until`, in seconds
 * since the epoch: at least the `exp` of the last token in question plus the clock tolerance. A later call can
 * lengthen an entry, never shorten it; `unrevoke(id)` ends it. Throws `TypeError` for an id that is not qualified or a time in milliseconds.
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
      list.apply(id, Math.max(until, list.get(id)?.until ?? 0), 0)
    },
    unrevoke(id) {
      checkId('memoryRevocations', id)
      list.apply(id, 0, 0)
    },
    list: list.current,
    get size() {
      return list.size
    },
  }
}
