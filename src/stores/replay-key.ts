import { sha256 } from '#runtime'

/** What can be used once: a DPoP proof, or an access token under a rule with `once`. */
export type ReplayKind = 'proof' | 'token'

/**
 * The key of a replay store: the owner (a SHA-256 digest in base64url), a mark of the kind, and the digest of the id.
 * Always 87 characters.
 */
export function replayKey(kind: ReplayKind, owner: string, id: string): string {
  return `${owner}${kind === 'proof' ? '.' : '~'}${sha256(id)}`
}

/** The kind of a key; undefined where `replayKey` did not make it. */
export function kindOf(key: string): ReplayKind | undefined {
  const mark = /^[\w-]{43}([.~])[\w-]{43}$/.exec(key)?.[1]
  if (mark === undefined) return undefined
  return mark === '.' ? 'proof' : 'token'
}

/**
 * A store with `true` under this name gets a third argument to `remember`: the longest ttl that this key can have had, in
 * seconds. A store that can lose its memory needs it to tell whether it may have known the key. By `Symbol.for`, so that
 * it holds between two copies of the package.
 */
export const takesLongestTtl: unique symbol = Symbol.for('ajwt.replayStore.takesLongestTtl') as never

export interface TakesLongestTtl {
  readonly [takesLongestTtl]: true
  remember(key: string, ttl: number, longestTtl?: number): boolean | Promise<boolean>
}
