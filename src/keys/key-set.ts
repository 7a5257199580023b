import type { Algorithm } from '../jws/algorithms.js'
import { fits } from '../jws/jwk.js'
import { isObject } from '../lib/objects.js'
import { type IssuerKey, readIssuerKey } from './issuer-key.js'

/** The usable keys of an issuer. */
export interface KeySet extends Iterable<IssuerKey> {
  readonly size: number
  has(key: IssuerKey): boolean
  /** Whether a key has this `kid`, for any algorithm. */
  hasKid(kid: string): boolean
  /** The keys that may have signed: at most four, those with an `alg` first. Without a `kid`: of all keys. */
  select(kid: string | undefined, algorithm: Algorithm): readonly IssuerKey[]
}

/** More keys than any issuer needs. */
const maxKeys = 100

/** The most keys to try for one token: each costs a signature verification. */
const maxCandidates = 4

/**
 * Reads a JWK Set (RFC 7517 section 5). Leaves out unusable entries, so one bad entry is no outage. Undefined
 * for no JWK Set, for no usable key, and for more than 100. Keys in `previous` are reused, not imported
 * again.
 */
export function readKeySet(document: unknown, previous?: Iterable<IssuerKey>): KeySet | undefined {
  const entries = isObject(document) ? document.keys : undefined
  if (!Array.isArray(entries) || entries.length > maxKeys) return undefined
  const known = new Map([...(previous ?? [])].map((key) => [key.identity, key]))
  const keys = new Map<string, IssuerKey>()
  for (const entry of entries) {
    const key = readIssuerKey(entry)
    if (key !== undefined) keys.set(key.identity, known.get(key.identity) ?? key)
  }
  // Imports keys up to the first usable one. A key that cannot be imported fails quickly.
  const hasUsable = [...keys.values()].some(({ key }) => key !== undefined)
  return hasUsable ? createKeySet([...keys.values()]) : undefined
}

/** Of a `jwks` without a usable key. */
export const emptyKeySet: KeySet = /* @__PURE__ */ createKeySet([])

function createKeySet(keys: readonly IssuerKey[]): KeySet {
  const members = new Set(keys)
  const statingAlg = keys.filter(({ jwk }) => jwk.alg !== undefined)
  const ordered = [...statingAlg, ...keys.filter(({ jwk }) => jwk.alg === undefined)]
  const byKid = new Map<string | undefined, IssuerKey[]>()
  for (const key of ordered) byKid.set(key.kid, [...(byKid.get(key.kid) ?? []), key])
  return {
    size: keys.length,
    has: (key) => members.has(key),
    hasKid: (kid) => byKid.has(kid),
    select(kid, algorithm) {
      const named = kid === undefined ? ordered : (byKid.get(kid) ?? [])
      const candidates: IssuerKey[] = []
      for (const key of named) {
        if (candidates.length === maxCandidates) break
        // The import last: it is slow, and only needed for keys that fit.
        if (fits(key.jwk, algorithm) && key.key !== undefined) candidates.push(key)
      }
      return candidates
    },
    [Symbol.iterator]: () => members.values(),
  }
}
