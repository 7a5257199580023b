import type { Stage } from './decision.js'
import { printable } from './lib/sanitize.js'
import type { DenialCode } from './protocol/denials.js'

/**
 * Why a request was denied, for the operator. Never sent to the caller. Texts have at most 128 characters.
 */
export interface Cause {
  readonly reason: string
  /** The claim or header parameter that failed the check, such as `intent.executed_by`. */
  readonly claim?: string
  /** The issuer whose entry in the policy was applied. */
  readonly issuer?: string
  readonly expected?: string
  /** The value that the request had. Never a token, a proof, a key or a secret. */
  readonly found?: string
  /** True if `found` is not covered by a verified signature. */
  readonly unverified?: true
}

/** The state of one limit, for the fields `RateLimit` and `RateLimit-Policy`. */
export interface LimitState {
  readonly name: string
  readonly max: number
  /** Seconds. Undefined: until the token expires. */
  readonly ruleWindow: number | undefined
  readonly remaining: number
  readonly resetSeconds: number
  /** Of the counter: a later state of the same counter replaces an earlier one. */
  readonly key?: string
}

/**
 * Parameters of a challenge besides `error` (RFC 6750 section 3, RFC 9470 section 3), and of
 * `limit_exceeded`.
 */
export interface ChallengeDetails {
  readonly scope?: string | undefined
  readonly acrValues?: string | undefined
  readonly maxAge?: number | undefined
  readonly workflow?: string | undefined
  /** Several are separated by blanks. */
  readonly step?: string | undefined
  readonly limits?: readonly LimitState[]
  /** Seconds. */
  readonly retryAfter?: number
}

/** The result of a failed check. */
export class Refusal {
  readonly code: DenialCode
  readonly cause: Cause | undefined
  readonly details: ChallengeDetails | undefined
  /** The agent of the token, if the token's signature was verified. */
  readonly agent: string | undefined

  constructor(code: DenialCode, cause?: Cause, details?: ChallengeDetails, agent?: string) {
    this.code = code
    this.cause = cause
    this.details = details
    this.agent = agent
  }
}

/**
 * Observes the checks of one request, for `explain`. It changes no decision. Call it as
 * `observer?.begin(...)`, so that the arguments are not evaluated without an observer.
 */
export interface CheckObserver {
  enter(stage: Stage): void
  /** Call this before each check. A refusal belongs to the last check. Values are formatted, not stored. */
  begin(check: string, expected?: unknown, found?: unknown): undefined
  /** Call this for a check that would consume or store something, and that an observed request leaves out. */
  skip(check: string, expected?: unknown, found?: unknown): void
}

export function isRefusal(result: unknown): result is Refusal {
  return result instanceof Refusal
}

/**
 * A token, proof or assertion in a text: base64url of `{` and of the characters that JSON allows after it. It
 * does not match the dots of a JWS, because that pattern took quadratic time.
 */
const compactJws = /(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2}))e(?:y[AJ]|w[0ko])[\w.%-]{16,}/g

/** What no log may hold, and what takes its place. Every pattern takes linear time. */
const secrets: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [compactJws, '[JWS]'],
  // A signature alone. No id that is shown is so long and so mixed.
  [/(?<![\w-])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*\d)[\w-]{80,}/g, '[redacted]'],
  [/\b(bearer|dpop|basic) +(?=[\w.~+/=-]*\d)[\w.~+/=-]{8,}/gi, '$1 [redacted]'],
  // The password in a URL, such as that of Redis.
  [/(?<=:\/\/)[^\s/?#@]*@/g, '[redacted]@'],
  [/-----BEGIN [A-Z ]+-----[^-]*(?:-----END [A-Z ]+-----)?/g, '[key]'],
  [/"(d|p|q|dp|dq|qi|k)" *: *"[^"]*"?/g, '"$1":"[key]"'],
]

/** The shortest text that can hold a secret. */
const shortestSecret = 12

/** The text without tokens, proofs, assertions, signatures, passwords and private keys. */
export function redact(text: string): string {
  if (text.length < shortestSecret) return text
  return secrets.reduce((rest, [pattern, instead]) => rest.replace(pattern, instead), text)
}

/** A value for `expected` or `found`: printable, at most 128 characters. Arrays and objects are not shown. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return printable(redact(value.slice(0, 4096)))
  if (value === undefined) return 'nothing'
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  return printable(String(value))
}

/** The printable message of an error from third-party code, which may throw anything. Without tokens. */
export function describeError(error: unknown): string {
  try {
    return describe(error instanceof Error ? error.message : String(error))
  } catch {
    return 'an error without a message'
  }
}
