/** An id with its kind and, except for keys, its issuer. */
const QUALIFIED = /^(?:(?:token|registration|agent):[!-~]+ [ -~]+|key:[\w-]+)$/
/** The year 5138 in seconds. Any current time in milliseconds is larger. */
const MAX_TIME = 1e11

/** An id that is revoked until a time, in seconds since the epoch. */
export interface Revocation {
  readonly id: string
  readonly until: number
}

/** Throws `TypeError` for invalid arguments of `revoke(id, until)`. */
export function checkRevocation(store: string, id: string, until: number): void {
  checkId(store, id)
  if (typeof until !== 'number' || !(until > 0 && until < MAX_TIME)) {
    throw new TypeError(`${store}: until must be a time in seconds since the epoch`)
  }
}

/** Throws `TypeError` for an id that no token can have. */
export function checkId(store: string, id: string): void {
  if (typeof id !== 'string' || !QUALIFIED.test(id)) {
    throw new TypeError(
      `${store}: the id must be written "token:<iss> <jti>", "registration:<iss> <id>", "agent:<iss> <id>" ` +
        'or "key:<thumbprint>"',
    )
  }
}

/** Entries checked for expiry per call. */
const SWEEP = 4

/** The revoked ids. Removes expired entries. */
export interface RevocationList {
  isRevoked(ids: readonly string[]): boolean
  /** Undefined if the id is not revoked. */
  get(id: string): Entry | undefined
  /**
   * Sets the state of an id as of `at`. `until` is 0 for an id that is not revoked. A change that is older
   * than the known state can extend a revocation, but not shorten or end it.
   */
  apply(id: string, until: number, at: number): void
  /** The entries that have not expired. */
  current(): Revocation[]
  /** Calls `listener` with each id that is revoked, or whose revocation is extended. */
  onRevoked(listener: (id: string) => void): () => void
  readonly size: number
}

export interface Entry {
  /** Seconds since the epoch. */
  readonly until: number
  /** Orders the changes of one id: each `revoke` and `unrevoke` in a fleet has a larger value. */
  readonly at: number
}

export function revocationList(now: () => number = () => Date.now()): RevocationList {
  const entries = new Map<string, Entry>()
  const listeners = new Set<(id: string) => void>()
  let sweepIterator = entries.entries()

  function isRevoked(ids: readonly string[]): boolean {
    if (entries.size === 0) return false
    const time = now() / 1000
    sweep(time)
    for (const id of ids) {
      const entry = entries.get(id)
      if (entry !== undefined && entry.until > time) return true
    }
    return false
  }

  function apply(id: string, until: number, at: number): void {
    sweep(now() / 1000)
    const known = entries.get(id)
    if (known !== undefined && at < known.at) {
      // Out of order, for example after a failover. Fails closed: only an extension is applied.
      if (until > known.until) revoke(id, { until, at: known.at })
    } else if (until > 0) revoke(id, { until, at })
    else entries.delete(id)
  }

  function revoke(id: string, entry: Entry): void {
    const isNew = entry.until > (entries.get(id)?.until ?? 0)
    entries.set(id, entry)
    if (isNew) for (const listener of listeners) listener(id)
  }

  /** Removes expired entries, a few per call: needs no timer, and no call scans the whole list. */
  function sweep(time: number): void {
    for (let step = 0; step < SWEEP; step++) {
      const next = sweepIterator.next()
      if (next.done) {
        sweepIterator = entries.entries()
        return
      }
      if (next.value[1].until <= time) entries.delete(next.value[0])
    }
  }

  return {
    isRevoked,
    get: (id) => entries.get(id),
    apply,
    onRevoked(listener) {
      // A function of its own for each call: the same listener may be added twice.
      const own = (id: string) => listener(id)
      listeners.add(own)
      return () => listeners.delete(own)
    },
    current() {
      const time = now() / 1000
      const current: Revocation[] = []
      for (const [id, { until }] of entries) if (until > time) current.push({ id, until })
      return current
    },
    get size() {
      return entries.size
    },
  }
}
