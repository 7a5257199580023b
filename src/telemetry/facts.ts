import type { Decision } from '../decision.js'
import type { Cause, Refusal } from '../refusal.js'

/**
 * Facts about a decision, safe to log: texts have at most 128 characters and no control characters. Values
 * come from closed sets, the policy or verified claims, except for `cause.found`.
 */
export interface DecisionFacts {
  /** An HTTP method, or `_OTHER`. */
  readonly method: string
  /** The matched path pattern of the policy, if any. */
  readonly route: string | undefined
  /** The executing agent, if the signature of the token was verified. */
  readonly agent: string | undefined
  /** Why the request was denied. For the operator, never sent to the caller. */
  readonly cause: Cause | undefined
  readonly workflow: string | undefined
  /** The number of hops from the initiator to the agent, if the delegation was verified. */
  readonly delegationDepth: number | undefined
  /** The rule of an MCP server that denied a message, such as `tools refund`. */
  readonly target: string | undefined
  /** Seconds. */
  readonly duration: number
  /** The trace of the decision's span, or of the active span. Undefined without tracing. */
  readonly traceId: string | undefined
  /**
   * The earlier outcome of the same request, if this denial replaces it. Set when `requireIntent` denies a
   * request that the policy let through, when the path was rewritten between two mounts of the middleware, or
   * when `guardUpgrade` ends a WebSocket.
   */
  readonly overrules: Decision['outcome'] | undefined
}

/** The parts of the pipeline's state that are reported. */
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
  readonly target?: string | undefined
  readonly trace?:
    | {
        /** Milliseconds of the monotonic clock. */
        readonly authorization?: {
          readonly start: number
          readonly end: number
          readonly code: string | undefined
        }
      }
    | undefined
}
