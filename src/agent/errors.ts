import { oneErrorForCopies } from '../lib/copies.js'
import type { DenialCode } from '../protocol/denials.js'
import type { AjwtChallenge } from './http/challenge.js'

/** The agent is no longer what was registered. Nothing was sent, nothing signed. */
export class AgentIntegrityError extends Error {
  static {
    oneErrorForCopies(AgentIntegrityError, 'AgentIntegrityError')
  }
  override readonly name = 'AgentIntegrityError'
  readonly agentId: string
  readonly expected: string
  /**
   * Absent where the definition has become something that has no checksum; equal to `expected` where only the
   * indentation of the prompt has changed.
   */
  readonly actual: string | undefined

  constructor(agentId: string, expected: string, actual: string | undefined, reason: string) {
    super(`agent ${agentId} has changed: ${reason}`)
    this.agentId = agentId
    this.expected = expected
    this.actual = actual
  }
}

export interface AgentTokenFailure {
  /** Agent, workflow, step, scope and resource that were asked for, in words. */
  about: string
  error: string
  description?: string | undefined
  status?: number | undefined
}

/**
 * The authorization server gave no usable token. `error` is its OAuth error (RFC 6749 section 5.2), or
 * `unreachable` (no answer; `status` is absent) or `invalid_response` (an answer that must not be used).
 */
export class AgentTokenError extends Error {
  static {
    oneErrorForCopies(AgentTokenError, 'AgentTokenError')
  }
  override readonly name = 'AgentTokenError'
  readonly error: string
  readonly description: string | undefined
  readonly status: number | undefined

  constructor({ about, error, description, status }: AgentTokenFailure) {
    super(`no token: ${error}${description ? `: ${description}` : ''} (${about})`)
    this.error = error
    this.description = description
    this.status = status
  }
}

/** One of ajwt's denial codes, such as `step_out_of_order`, or one that a later version has added. */
export type AjwtCode = DenialCode | (string & {})

export interface AjwtDenial {
  code: AjwtCode
  status: number
  error?: string | undefined
  description: string
  challenge?: AjwtChallenge | undefined
  retryAfter?: number | undefined
}

interface DeniedCall extends AjwtDenial {
  /** Agent, workflow, step, scope and resource of the token that was sent, in words. */
  about: string
  /** The resource that the API says it is. */
  resource?: string | undefined
  /** The resource that the token was asked for. */
  askedFor?: string
}

/** A denial by an API that ajwt protects: no handler ran. */
export class AjwtDeniedError extends Error {
  static {
    oneErrorForCopies(AjwtDeniedError, 'AjwtDeniedError')
  }
  override readonly name = 'AjwtDeniedError'
  readonly code: AjwtCode
  readonly status: number
  /** The OAuth error; absent where the denial has none. */
  readonly error: string | undefined
  readonly description: string
  /** What the API asks for: scopes, a stronger user authentication, where its metadata is. */
  readonly challenge: AjwtChallenge | undefined
  /** Seconds, where the API named them (status 503). */
  readonly retryAfter: number | undefined
  /** At `audience_mismatch`: the resource that the API's metadata names (RFC 9728), where it could be read. */
  readonly resource: string | undefined

  constructor(denial: DeniedCall) {
    super(`${denial.status} ${denial.code}: ${denial.description} (${denial.about})${rightResource(denial)}`)
    this.resource = denial.resource
    this.code = denial.code
    this.status = denial.status
    this.error = denial.error
    this.description = denial.description
    this.challenge = denial.challenge
    this.retryAfter = denial.retryAfter
  }
}

function rightResource({ resource, askedFor }: DeniedCall): string {
  if (resource === undefined) return ''
  if (resource === askedFor) {
    return '. The API says that it is that resource: look which audience the authorization server puts into its tokens'
  }
  return `. The API says that it is the resource ${resource}: name that in intent.resource, or in the client's option resource`
}

export type DelegationFault = Extract<
  DenialCode,
  | 'delegation_malformed'
  | 'delegation_too_deep'
  | 'delegation_link_broken'
  | 'delegation_scope_widened'
  | 'delegation_expired'
  | 'delegation_context_mismatch'
  | 'delegation_loop'
  | 'delegation_signature_invalid'
>

/**
 * A delegation that must not be made, accepted or used. `code` is the code with which an API would deny a
 * token that carried it.
 */
export class AgentDelegationError extends Error {
  static {
    oneErrorForCopies(AgentDelegationError, 'AgentDelegationError')
  }
  override readonly name = 'AgentDelegationError'
  readonly code: DelegationFault

  constructor(code: DelegationFault, message: string) {
    super(message)
    this.code = code
  }
}
