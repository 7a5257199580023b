/** A registered agent with a key of its own. */
export interface TestAgent {
  readonly id: string
  /** For `agents[id].checksums` of a policy. */
  readonly checksum: string
  /** For `agents[id].registrationIds` of a policy. */
  readonly registrationId: string
  /** The thumbprint of its key, as in `grant.agent.keyThumbprint`. */
  readonly keyThumbprint: string
  /** Delegates rights to another agent. `grant.after` is the delegation to continue. */
  delegateTo(to: TestAgent | string, grant: DelegationGrant): TestDelegation
}

/** The delegated rights. They are not checked, so that a test can make an invalid chain. */
export interface DelegationGrant {
  readonly scope: string | readonly string[]
  /** Default: the issuer's audience. */
  readonly audience?: string | readonly string[]
  /** Seconds. Default: the time left of `after`, or 300. */
  readonly ttl?: number
  /** Default: that of `after`. */
  readonly workflow?: string
  /** The `intent_hash`. Default: that of `after`. */
  readonly hash?: string
  /** The delegation to continue. */
  readonly after?: TestDelegation
  /** Claims merged into the assertion. `undefined` deletes a claim. */
  readonly claims?: Readonly<Record<string, unknown>>
}

/** A chain of signed assertions, outermost first. */
export interface TestDelegation {
  readonly assertions: readonly string[]
  /** The first delegator. */
  readonly initiator: TestAgent
  /** The last delegatee, which may use the chain. */
  readonly to: TestAgent
  /** From the initiator to the last delegatee. */
  readonly agents: readonly string[]
  /** The thumbprint of each delegator's key, in the order of `assertions`: `delegator_jkts` of a token. */
  readonly delegatorKeys: readonly string[]
  readonly scope: readonly string[]
  readonly workflow: string | undefined
  readonly hash: string | undefined
  /** Seconds since the epoch. */
  readonly expiresAt: number
}
