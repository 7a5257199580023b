/** What may stand on a revocation list: an id that names its kind, so that none can be taken for another. */
const QUALIFIED = /^(?:(?:token|registration|agent):[!-~]+ [ -~]+|key:[\w-]{43})$/
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
