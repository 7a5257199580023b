import { sha256 } from '#runtime'

/** A DPoP proof, or an access token under a rule with `once`. */
export type ReplayKind = 'proof' | 'token'

/**
 * The key for a replay store: the owner (a SHA-256 digest in base64url), a separator that depends on the
 * kind, and the digest of the id. Always 87 characters.
 */
export function replayKey(kind: ReplayKind, owner: string, id: string): string {
  return `${owner}${kind === 'proof' ? '.' : '~'}${sha256(id)}`
}

/** The kind of a key. Undefined if `replayKey` did not make the key. */
export function kindOf(key: string): ReplayKind | undefined {
  const separator = /^[\w-]{43}([.~])[\w-]{43}$/.exec(key)?.[1]
  if (separator === undefined) return undefined
  return separator === '.' ? 'proof' : 'token'
}

/**
 * If a store has `true` under this symbol, `remember` gets the longest ttl that the key can have had
 * (seconds). A store that may lose its data needs it to know whether it may have lost this key.
 */
export const takesLongestTtl: unique symbol = Symbol.for('ajwt.replayStore.takesLongestTtl')

export interface TakesLongestTtl {
  readonly [takesLongestTtl]: true
  remember(key: string, ttl: number, longestTtl?: number): boolean | Promise<boolean>
}
