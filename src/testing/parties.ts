/** A registered agent with a key of its own. */
export interface TestAgent {
  readonly id: string
  /** For `agents[id].checksums` of a policy. */
  readonly checksum: string
  /** For `agents[id].registrationIds` of a policy. */
  readonly registrationId: string
  /** The thumbprint of its key, as `grant.agent.keyThumbprint` has it. */
  readonly keyThumbprint: string
  /** Hands a part of its rights to another agent; `grant.after` is the delegation that this one continues. */
  delegateTo(to: TestAgent | string, grant: DelegationGrant): TestDelegation
}

/** What one agent lets another do in its place. Nothing is checked: a wrong chain is a good test, too. */
export interface DelegationGrant {
  readonly scope: string | readonly string[]
  /** Default: the issuer's audience. */
  readonly audience?: string | readonly string[]
  /** Seconds. Default 300, or what is left of `after`. */
  readonly ttl?: number
  /** Default: that of `after`. */
  readonly workflow?: string
  /** The `intent_hash`. Default: that of `after`. */
  readonly hash?: string
  /** The delegation that this one continues. */
  readonly after?: TestDelegation
  /** Claims merged into the assertion; undefined deletes one. */
  readonly claims?: Readonly<Record<string, unknown>>
}

/** A chain of signed assertions, outermost first. */
export interface TestDelegation {
  readonly assertions: readonly string[]
  /** Who delegated first. */
  readonly initiator: TestAgent
  /** Who may use it. */
  readonly to: TestAgent
  /** From the initiator to the last delegatee. */
  readonly agents: readonly string[]
  /** The thumbprint of each delegator's own key, in the order of `assertions`: the `delegator_jkts` of a token. */
  readonly delegatorKeys: readonly string[]
  readonly scope: readonly string[]
  readonly workflow: string | undefined
  readonly hash: string | undefined
  /** Seconds since the epoch. */
  readonly expiresAt: number
}
