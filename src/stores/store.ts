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
  /**
   * Calls `listener` with each id that is revoked from now on, so that open connections end at once. Returns
   * a function that ends the calls. Without this method, open connections are checked at an interval.
   */
  onRevoked?(listener: (id: string) => void): () => void
}

/** The state of a counter after a request. */
export interface LimitResult {
  /** Exactly `true` if the cost was counted. */
  readonly allowed: boolean
  /** How much is left until the counter ends, 0 or more. */
  readonly remaining: number
  /** Seconds until the counter ends. */
  readonly resetSeconds: number
}

/** One counter that a request is counted in. */
export interface LimitUse {
  /** A digest of 43 characters of `A-Z a-z 0-9 - _`. */
  readonly key: string
  /** 0 or more. */
  readonly cost: number
  readonly max: number
  /** Seconds. */
  readonly window: number
  /**
   * Whether a counter that runs already must last for `window` from now, too: limits until the token expires.
   */
  readonly isExtended: boolean
}

/** The result of one use, with the period that it was counted in. */
export interface CountedLimit extends LimitResult {
  /** Tells the periods of one counter apart, so that nothing is given back to a later one. */
  readonly period: string
}

/** A cost that is given back. */
export interface LimitCharge {
  readonly key: string
  readonly cost: number
  readonly period: string
}

/** Counts requests, or sums, for the limits of rules. */
export interface LimitStore {
  /**
   * Adds `cost` to a counter if the sum is then at most `max`. A counter begins with its first cost and ends
   * `window` seconds later. A negative cost is given back: it is never refused, and no counter falls below 0.
   * Must be atomic. Keys have 43 characters. If the method throws, the request is denied with 503.
   */
  consume(key: string, cost: number, max: number, window: number): LimitResult | Promise<LimitResult>
  /**
   * Counts several uses in one atomic step: all of them or none. Without this method they are counted one
   * after the other, and those before a refusal are given back, so that other requests can see them counted
   * for a moment.
   */
  consumeAll?(uses: readonly LimitUse[]): readonly CountedLimit[] | Promise<readonly CountedLimit[]>
  /** Gives costs back that `consumeAll` has counted, unless their period is over. */
  giveBack?(charges: readonly LimitCharge[]): void | Promise<void>
}

/** Remembers whose MCP sessions and tasks are, by their ids. A `Map` is one. */
export interface SessionStore {
  /**
   * The owner of an id, as `set` got it. Undefined or null if the id is unknown. If the method throws, the
   * request is denied with 503.
   */
  get(id: string): string | null | undefined | Promise<string | null | undefined>
  /**
   * Binds an id that has no owner yet. Should throw if the id has another owner by now. The owner is a JSON
   * array of issuer, subject, agent and initiator. Ids have at most 1024 characters.
   */
  set(id: string, owner: string): unknown
  /** Forgets an id: its session has ended. */
  delete(id: string): unknown
}
