import { checkId, checkRevocation, type Revocation, revocationList } from '../revocation-list.js'
import { warnAboutManyInstances } from './many-instances.js'

/** A revocation list in memory, made by {@link memoryRevocations}. */
export interface MemoryRevocations {
  isRevoked(ids: readonly string[]): boolean
  revoke(id: string, until: number): void
  /** Ends a revocation. Tokens with this id are accepted again. */
  unrevoke(id: string): void
  /** The revocations that have not expired. */
  list(): Revocation[]
  /** Calls `listener` with each id that is revoked. Returns a function that ends the calls. */
  onRevoked(listener: (id: string) => void): () => void
  /** The number of ids, including expired ones that are not swept yet. */
  readonly size: number
}

/**
 * A revocation list for one process. `revoke(id, until)` denies every token with this id until `until`, in
 * seconds since the epoch. Use at least the `exp` of the last such token plus the clock tolerance. A second
 * call can extend a revocation, never shorten it. Throws `TypeError` for an id without a kind and issuer, and
 * for a time in milliseconds. `now` returns milliseconds.
 */
export function memoryRevocations({
  now = () => Date.now(),
}: {
  now?: () => number
} = {}): MemoryRevocations {
  const list = revocationList(now)
  return {
    isRevoked(ids) {
      warnAboutManyInstances('memoryRevocations', 'a revocation reaches one of them')
      return list.isRevoked(ids)
    },
    revoke(id, until) {
      checkRevocation('memoryRevocations', id, until)
      list.apply(id, Math.max(until, list.get(id)?.until ?? 0), 0)
    },
    unrevoke(id) {
      checkId('memoryRevocations', id)
      list.apply(id, 0, 0)
    },
    list: list.current,
    onRevoked: list.onRevoked,
    get size() {
      return list.size
    },
  }
}
