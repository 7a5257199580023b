import type { Hop } from '../decision.js'

/** How the right to act came to the agent that holds the token: verified, or listed by the policy. */
export interface Delegation {
  /** Signed hops, outermost first; empty for a direct call and for a chain that is only listed. */
  readonly hops: readonly Hop[]
  /** Every agent on the way, from the initiator to the executor. */
  readonly agents: readonly string[]
  /** Who set the run going: the first agent, or for a direct call the user or agent that the token names. */
  readonly initiator: string
  /** Whether the token shows that the initiator is an agent: a person may bear the same name. */
  readonly isInitiatedByAgent: boolean
  /** 0 for a direct call. */
  readonly depth: number
}
