import type { Hop } from '../decision.js'
import type { Json } from '../lib/json.js'
import type { Refusal } from '../refusal.js'
import type { Assertion } from './assertion.js'

/** The agents between the initiator and the agent of the token: verified hops, or a chain of the policy. */
export interface Delegation {
  /** Verified hops, outermost first. Empty for a direct call and for a chain without assertions. */
  readonly hops: readonly Hop[]
  /** All agents, from the initiator to the executor. */
  readonly agents: readonly string[]
  /** The agent or user that started the run. */
  readonly initiator: string
  /** False if the token does not show it: a person can have the same name as an agent. */
  readonly isInitiatedByAgent: boolean
  /** The number of hops. 0 for a direct call. */
  readonly depth: number
}

/** The part of a verified token that the delegation stage needs. */
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
  /** The audiences of the token that the policy accepts, at least one. */
  readonly audiences: readonly string[]
  /** The delegation assertions, not verified yet, or the refusal of malformed ones. */
  readonly assertions: readonly Assertion[] | Refusal
  /** Set after the first verification. Later requests check only the times again. */
  delegation: Delegation | undefined
}
