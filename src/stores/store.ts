/** Remembers the proofs and single-use tokens that were used. */
export interface ReplayStore {
  /**
   * Returns `true` if the key is new, and keeps it for `ttl` seconds. Returns `false` if the key is known.
   * Must be atomic: only one of two simultaneous calls with the same key gets `true`. Keys have 87 characters
   * of `A-Z a-z 0-9 - _ . ~`. If the method throws, the request is denied with 503.
   */
  remember(key: string, ttl: number): boolean | Promise<boolean>
}

/** Knows the revoked tokens, agents, registrations and keys. */
export interface Revocations {
  /** Whether any of these ids is revoked. If the method throws, the request is denied with 503. */
  isRevoked(ids: string[]): boolean | Promise<boolean>
}
