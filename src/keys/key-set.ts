import type { Algorithm } from '../jose/algorithms.js'
import { isObject, own } from '../jose/own.js'
import { fits, importPublicKey, type PublicKey } from '../jose/public-key.js'

/** A key of an issuer. The same object for as long as the issuer publishes it, fetch after fetch. */
export interface IssuerKey {
  readonly kid: string | undefined
  readonly key: PublicKey
}

/** The keys of an issuer that can verify anything here. */
export interface KeySet {
  has(key: IssuerKey): boolean
  /** Whether a key has this `kid`, fit for the algorithm or not. */
  hasKid(kid: string): boolean
  /** The keys that may have signed with this algorithm: a few at most. */
  select(kid: string | undefined, algorithm: Algorithm): readonly IssuerKey[]
}

/** More keys than any issuer needs. */
const maxKeys = 100

/** Keys with one and the same `kid` that are tried for one token. */
const maxCandidates = 4

/**
 * Reads a JWK Set (RFC 7517 section 5). What is no usable public key is left out, so that one bad entry is not
 * an outage; undefined where nothing usable is left, or where it is no JWK Set.
 */
export function readKeySet(
  document: unknown,
  previous?: Iterable<IssuerKey>,
): (KeySet & Iterable<IssuerKey>) | undefined {
  const entries = isObject(document) ? own(document, 'keys') : undefined
  if (!Array.isArray(entries) || entries.length > maxKeys) return undefined
  const known = new Map([...(previous ?? [])].map((key) => [identityOf(key), key]))
  const keys = new Map<string, IssuerKey>()
  for (const entry of entries) {
    const key = readKey(entry)
    if (key === undefined) continue
    const identity = identityOf(key)
    keys.set(identity, known.get(identity) ?? key)
  }
  return keys.size === 0 ? undefined : createKeySet([...keys.values()])
}

function createKeySet(keys: readonly IssuerKey[]): KeySet & Iterable<IssuerKey> {
  const members = new Set(keys)
  const byKid = new Map<string | undefined, IssuerKey[]>()
  for (const key of keys) byKid.set(key.kid, [...(byKid.get(key.kid) ?? []), key])
  return {
    has: (key) => members.has(key),
    hasKid: (kid) => byKid.has(kid),
    select(kid, algorithm) {
      const fitting = (kid === undefined ? keys : (byKid.get(kid) ?? [])).filter(({ key }) =>
        fits(key, algorithm),
      )
      if (kid !== undefined) return fitting.slice(0, maxCandidates)
      // Without a kid nothing is tried out: one key fits, or none is meant.
      return fitting.length === 1 ? fitting : []
    },
    [Symbol.iterator]: () => members.values(),
  }
}

function readKey(entry: unknown): IssuerKey | undefined {
  if (!isObject(entry)) return undefined
  const kid = own(entry, 'kid')
  if (kid !== undefined && typeof kid !== 'string') return undefined
  const key = importPublicKey(entry)
  return key && { kid, key }
}

function identityOf({ kid, key }: IssuerKey): string {
  return JSON.stringify([kid, key.alg, key.thumbprint])
}
