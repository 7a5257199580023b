import type { Algorithm } from '../jws/algorithms.js'
import type { MaybePromise } from '../lib/promise.js'
import { type Cause, describe, Refusal } from '../refusal.js'
import type { IssuerKey } from './issuer-key.js'
import type { KeySet } from './key-set.js'

/** The keys of one issuer, from the policy or fetched. */
export interface IssuerKeys {
  /** Whether the current key set has this key. Never fetches or waits. */
  holds(key: IssuerKey): boolean
  /**
   * The keys that may have signed: at most four. Denies with `keys_unavailable` or `key_not_found`. Waits for
   * a fetch if the keys are older than `maxAge`, or if none has the `kid`.
   */
  find(kid: string | undefined, algorithm: Algorithm): MaybePromise<readonly IssuerKey[] | Refusal>
  /** The keys that may have signed and were not `tried`, after another fetch if one is left. */
  findOthers(
    kid: string | undefined,
    algorithm: Algorithm,
    tried: readonly IssuerKey[],
  ): MaybePromise<readonly IssuerKey[]>
  /** Fetches the keys now. Whether that succeeded. */
  refresh(): Promise<boolean>
  /** Whether there are keys. Fetches them first if there are none or if they are old. */
  ready(): Promise<KeysReadiness>
  close(): void
}

export interface KeysReadiness {
  readonly ready: boolean
  /** Why there are no keys, or why they could not be refreshed. */
  readonly cause?: Cause
}

/** Keys in the policy. */
export function inlineKeys(set: KeySet): IssuerKeys {
  return {
    holds: (key) => set.has(key),
    find(kid, algorithm) {
      const keys = set.select(kid, algorithm)
      return keys.length > 0 ? keys : keyNotFound(set, kid, algorithm)
    },
    findOthers: () => [],
    refresh: async () => true,
    ready: async () => ({ ready: true }),
    close: () => {},
  }
}

/** Names the `kid`, and those of the issuer's keys: a rotated key is seen at once. */
export function keyNotFound(set: KeySet, kid: string | undefined, { name }: Algorithm): Refusal {
  const has = `the issuer has ${set.size} key${set.size === 1 ? '' : 's'}`
  if (kid === undefined) {
    return new Refusal('key_not_found', { reason: `${has}, and none fits ${name}`, claim: 'kid' })
  }
  const reason = set.hasKid(kid)
    ? `${has}, and none of this kid fits ${name}`
    : `${has}, and none has this kid`
  const kids = [...set].flatMap((key) => key.kid ?? [])
  const expected = kids.length === 0 ? {} : { expected: describe(kids.join(' or ')) }
  const found = { found: describe(kid), unverified: true } as const
  return new Refusal('key_not_found', { reason, claim: 'kid', ...expected, ...found })
}
