import type { Decision } from '../decision.js'
import type { Cause, Refusal } from '../refusal.js'

/**
 * What is known of a request when its verdict falls: closed sets, the policy's words, verified claims. Fit for a log:
 * no text is longer than 128 characters or holds a control character.
 */
export interface DecisionFacts {
  /** An HTTP method, or `_OTHER`. */
  readonly method: string
  /** The path pattern of the policy, where one matched. */
  readonly route: string | undefined
  /** The agent that executes, once the signature of the token has verified. */
  readonly agent: string | undefined
  /** Why the request was refused: for the operator, never sent. */
  readonly cause: Cause | undefined
  readonly workflow: string | undefined
  /** Hops from the initiator to the agent, once the delegation was verified. */
  readonly delegationDepth: number | undefined
  /** Seconds. */
  readonly duration: number
  /** Of the span of this decision, or of the one that was active; undefined where nothing is traced. */
  readonly traceId: string | undefined
  /**
   * The outcome of the policy, where this decision takes it back: set only where `requireIntent`, or a path rewritten
   * between two mounts of the middleware, refuses a request after `onDecision` was told of it.
   */
  readonly overrules: Decision['outcome'] | undefined
}

/** The results of the checks at the time of the decision. */
export interface ReportedState {
  readonly access: { readonly route: string | undefined } | undefined
  readonly verified:
    | {
        readonly token: {
          readonly issuer: string
          readonly agent: string
          readonly intent: { readonly workflowId: string | undefined }
        }
      }
    | undefined
  readonly delegation: { readonly depth: number } | undefined
  readonly refusal: Refusal | undefined
}
