import type { Grant } from '../decision.js'
import type { Delegation } from '../delegation/delegation.js'
import type { CheckObserver, Refusal } from '../refusal.js'
import type { Consumed } from '../stores/replay.js'
import type { TokenClaims } from '../token/claims.js'

/** Filled while a rule is checked. */
export interface RuleTrace {
  /** The times of the monotonic clock in milliseconds. */
  authorization?: { readonly start: number; readonly end: number; readonly code: string | undefined }
}

/** Checks what a request says against a rule and a token. It may have to wait for the body. */
export type RequestCheck = (token: TokenClaims) => Promise<Refusal | undefined>

/** The verified facts of a request that a rule checks. */
export interface RuleInput {
  readonly token: TokenClaims
  readonly delegation: Delegation
  readonly params: { readonly [name: string]: string }
  /** Seconds since the epoch. */
  readonly now: number
  /** The ids that this request has consumed: it may consume them again. */
  readonly consumed: Consumed[]
  /** The path pattern of the policy that matched. */
  readonly route: string | undefined
  /** Whether a denial by this rule is only reported. */
  readonly isObserved: boolean
  /** Whether a request counts once in a limit, however many of its rules name it. */
  readonly isOncePerRequest: boolean
  /** As on the wire. */
  readonly method: string
  readonly toGrant: () => Grant
  /** Its `signal` is read only if it is needed: adapters make it then. */
  readonly source: { readonly signal?: AbortSignal | undefined }
  /** The facts about the checks for telemetry. */
  readonly trace: RuleTrace
  /** The request as the framework has it, for rules of a handler. */
  readonly request: unknown
  /** The rule's conditions on what the request says. Undefined where no framework has read the request. */
  readonly checkRequest?: RequestCheck | undefined
  /** The arguments of the called MCP tool or prompt, as they came. */
  readonly arguments?: unknown
}

/** One or several conditions: the refusal of the first that does not hold. */
export type Check = (input: RuleInput, observer?: CheckObserver) => Refusal | undefined
