/** Remembers what was used once. */
export interface ReplayStore {
  /**
   * Exactly `true` when the key was new; it is then kept for `ttl` seconds. One atomic step: of two calls with
   * one key, one is told `true`. Keys are digests of one fixed length, 87 characters of `A-Z a-z 0-9 - _ . ~`. A throw refuses the request with 503.
   */
  remember(key: string, ttl: number): boolean | Promise<boolean>
}

/** Knows what was revoked. */
export interface Revocations {
  /** Whether any of these ids is revoked. A throw refuses the request with 503. */
  isRevoked(ids: string[]): boolean | Promise<boolean>
}
