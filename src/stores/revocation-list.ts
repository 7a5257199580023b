/** What may stand on a revocation list: an id that names its kind, so that none can be taken for another. */
const QUALIFIED = /^(?:(?:token|registration|agent):[!-~]+ [ -~]+|key:[\w-]+)$/
/** The year 5138 in seconds; the same number of milliseconds was in 1973, so a mix-up shows. */
const LATEST = 1e11

/** Throws `TypeError` for what is a programmer's error in `revoke(id, until)`: it would revoke nothing. */
export function checkRevocation(store: string, id: string, until: number): void {
  if (typeof id !== 'string' || !QUALIFIED.test(id)) {
    throw new TypeError(
      `${store}: the id must be "token:<iss> <jti>", "registration:<iss> <id>", "agent:<iss> <id>" or "key:<thumbprint>"`,
    )
  }
  if (typeof until !== 'number' || !(until > 0 && until < LATEST)) {
    throw new TypeError(`${store}: until must be a time in seconds since the epoch`)
  }
}

/** Entries looked at per call for having expired. */
const SWEEP = 4

/** Ids with the time until which each is revoked, in seconds since the epoch. Entries leave by themselves. */
export interface RevocationList {
  isRevoked(ids: readonly string[]): boolean
  /** Lengthens an entry that is there, and never shortens it: no late message can undo a revocation. */
  add(id: string, until: number): void
  /** The entries that have not expired. */
  current(): [id: string, until: number][]
  readonly size: number
}

export function revocationList(now: () => number = () => Date.now()): RevocationList {
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

  function add(id: string, until: number): void {
    sweep(now() / 1000)
    untilById.set(id, Math.max(until, untilById.get(id) ?? 0))
  }

  /** A hand that goes round over the entries, a few per call: no timer, and no call that pays for a long list. */
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
    add,
    current() {
      const time = now() / 1000
      return [...untilById].filter(([, until]) => until > time)
    },
    get size() {
      return untilById.size
    },
  }
}
