import type { Hop } from '../decision.js'
import type { Json } from '../lib/json.js'
import type { Refusal } from '../refusal.js'
import type { Assertion } from './assertion.js'

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

/** A verified token as far as its delegation is concerned. */
export interface DelegatedToken {
  readonly token: {
    readonly subject: string
    readonly agent: string
    readonly keyThumbprint: string | undefined
    readonly scopes: readonly string[]
    /** Seconds since the epoch. */
    readonly exp: number
    readonly intent: {
      readonly workflowId: string | undefined
      readonly hash: string | undefined
      readonly initiatedBy: string | undefined
      readonly initiatorType: 'agent' | 'user' | undefined
      readonly initiatorThumbprint: string | undefined
      readonly delegatorThumbprints: readonly string[] | undefined
      readonly chainHash: string | undefined
      readonly delegation: Json | undefined
    }
  }
  /** The audiences of the policy that it names, one at least. */
  readonly audiences: readonly string[]
  /** The delegation assertions, read but not yet verified; a refusal where they cannot be read. */
  readonly assertions: readonly Assertion[] | Refusal
  /** The delegation, once it was verified for this token: nothing in that can change but the time. */
  delegation: Delegation | undefined
}
