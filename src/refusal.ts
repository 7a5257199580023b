import { printable } from './lib/sanitize.js'
import type { DenialCode } from './protocol/denials.js'

/** Why a request was refused: for the operator, never sent to the caller. Every text is printable and cut. */
export interface Cause {
  readonly reason: string
  /** The claim or header member that decided, as in `intent.executed_by`. */
  readonly claim?: string
  /** The issuer whose entry in the policy decided. */
  readonly issuer?: string
  readonly expected?: string
  /** The value that the request had. Never a token, a proof, a key or a secret. */
  readonly found?: string
  /** Whether `found` is the caller's own word: no signature vouches for it. */
  readonly unverified?: true
}

/** What a challenge says beyond its error (RFC 6750 section 3, RFC 9470 section 3). */
export interface ChallengeDetails {
  readonly scope?: string | undefined
  readonly acrValues?: string | undefined
  readonly maxAge?: number | undefined
}

/** The answer of a check that refuses a request. */
export class Refusal {
  readonly code: DenialCode
  readonly cause: Cause | undefined
  readonly details: ChallengeDetails | undefined
  /** The agent of the token, where its signature has verified. */
  readonly agent: string | undefined

  constructor(code: DenialCode, cause?: Cause, details?: ChallengeDetails, agent?: string) {
    this.code = code
    this.cause = cause
    this.details = details
    this.agent = agent
  }
}

/** Whether a check has refused: checks answer with their result, or with a Refusal. */
export function isRefusal(result: unknown): result is Refusal {
  return result instanceof Refusal
}

/**
 * A token, a proof or an assertion, wherever a caller may have put one: base64url of a brace and what may follow it in
 * JSON. A pattern that went on to look for dots took time by the square of the length.
 */
const compactJws = /(?<![A-Za-z0-9])e(?:y[AJ]|w[0ko])[\w.%-]{16,}/g

/** A value for `expected` or `found`: printable, at most 128 characters, of arrays and objects the type alone. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return printable(value.slice(0, 4096).replace(compactJws, '[JWS]'))
  if (value === undefined) return 'nothing'
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  return printable(String(value))
}

/** The message of an error that somebody else's code has thrown. */
export function describeError(error: unknown): string {
  try {
    return printable(error instanceof Error ? error.message : String(error))
  } catch {
    return 'an error without a message'
  }
}
