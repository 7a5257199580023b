import type { Delegation } from '../delegation/delegation.js'
import type { CheckObserver, Refusal } from '../refusal.js'
import type { Consumed } from '../stores/replay.js'
import type { TokenClaims } from '../token/claims.js'

/** The verified facts of a request that a rule checks. */
export interface RuleInput {
  readonly token: TokenClaims
  readonly delegation: Delegation
  readonly params: { readonly [name: string]: string }
  /** Seconds since the epoch. */
  readonly now: number
  /** The ids that this request has consumed: it may consume them again. */
  readonly consumed: Consumed[] | undefined
}

/** One or several conditions: the refusal of the first that does not hold. */
export type Check = (input: RuleInput, observer?: CheckObserver) => Refusal | undefined
