import { sha256 } from '../jose/sha256.js'

/** What can be used once: a DPoP proof, or an access token under a rule with `once`. */
export type ReplayKind = 'proof' | 'token'

const OWNER_LENGTH = 43

/**
 * The key under which a replay store remembers something: the owner (a SHA-256 digest in base64url), a mark of the
 * kind, and the digest of the id. Always 87 characters. The kinds differ in how long their keys live.
 */
export function replayKey(kind: ReplayKind, owner: string, id: string): string {
  return `${owner}${kind === 'proof' ? '.' : '~'}${sha256(id)}`
}

/** The kind of a key that `replayKey` made; `proof` for any other. */
export function kindOf(key: string): ReplayKind {
  return key.charAt(OWNER_LENGTH) === '~' ? 'token' : 'proof'
}

/**
 * A store with this method is told the longest ttl (seconds) that a key of a kind can have, before the first such key.
 * A store that can lose its memory needs it to tell which keys it may have known. By `Symbol.for`, so that it holds
 * between two copies of the package.
 */
export const expectTtl: unique symbol = Symbol.for('ajwt.replayStore.expectTtl') as never

export interface ExpectsTtl {
  [expectTtl](kind: ReplayKind, seconds: number): void
}
