/** A qualified id: it names its kind and, but for keys, its issuer. */
const QUALIFIED = /^(?:(?:token|registration|agent):[!-~]+ [ -~]+|key:[\w-]+)$/
/** The year 5138 in seconds. A time in milliseconds is larger, so a mix-up is detected. */
const LATEST = 1e11

/** An id that is revoked, until a time in seconds since the epoch. */
export interface Revocation {
  readonly id: string
  readonly until: number
}

/** Throws `TypeError` for arguments of `revoke(id, until)` that would revoke nothing. */
export function checkRevocation(store: string, id: string, until: number): void {
  checkId(store, id)
  if (typeof until !== 'number' || !(until > 0 && until < LATEST)) {
    throw new TypeError(`${store}: until must be a time in seconds since the epoch`)
  }
}

/** Throws `TypeError` for an id that nothing can be revoked by. */
export function checkId(store: string, id: string): void {
  if (typeof id !== 'string' || !QUALIFIED.test(id)) {
    throw new TypeError(
      `${store}: the id must be "token:<iss> <jti>", "registration:<iss> <id>", "agent:<iss> <id>" or "key:<thumbprint>"`,
    )
  }
}

/** Entries checked for expiry per call. */
const SWEEP = 4

/**
 * Ids with the time until which each is revoked, in seconds since the epoch. Entries leave by themselves. `at` orders what
 * is done to one id: it counts up with each revocation and each `unrevoke` of a fleet.
 */
export interface RevocationList {
  isRevoked(ids: readonly string[]): boolean
  /** What is known of an id; undefined where it is not revoked. */
  get(id: string): Entry | undefined
  /** Takes over what holds as of `at`; `until` 0 for an id that is not revoked. What is late only lengthens. */
  apply(id: string, until: number, at: number): void
  /** The entries that have not expired. */
  current(): Revocation[]
  readonly size: number
}

export interface Entry {
  readonly until: number
  readonly at: number
}

export function revocationList(now: () => number = () => Date.now()): RevocationList {
  const entries = new Map<string, Entry>()
  let hand = entries.entries()

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
      // Out of order, as after a failover: what is late may lengthen a revocation, never end or shorten it.
      if (until > known.until) entries.set(id, { until, at: known.at })
    } else if (until > 0) entries.set(id, { until, at })
    else entries.delete(id)
  }

  /** Checks a few entries per call for expiry: no timer, and no call scans the whole list. */
  function sweep(time: number): void {
    for (let step = 0; step < SWEEP; step++) {
      const next = hand.next()
      if (next.done) {
        hand = entries.entries()
        return
      }
      if (next.value[1].until <= time) entries.delete(next.value[0])
    }
  }

  return {
    isRevoked,
    get: (id) => entries.get(id),
    apply,
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
