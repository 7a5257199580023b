import { brandError } from '../lib/copies.js'
import type { DenialCode } from '../protocol/denials.js'
import type { AjwtChallenge } from './http/challenge.js'

/** The agent differs from its registration. Nothing was sent and nothing was signed. */
export class AgentIntegrityError extends Error {
  static {
    brandError(AgentIntegrityError, 'AgentIntegrityError')
  }
  override readonly name = 'AgentIntegrityError'
  readonly agentId: string
  readonly expected: string
  /**
   * Absent if the definition can no longer be hashed. Equal to `expected` if only the indentation of the
   * prompt has changed.
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
  /** Agent, workflow, step, scope and resource of the token request, as text. */
  about: string
  error: string
  description?: string | undefined
  status?: number | undefined
}

/**
 * The authorization server returned no usable token. `error` is its OAuth error (RFC 6749 section 5.2), or
 * `unreachable` (no response; `status` is absent) or `invalid_response` (a response that must not be used).
 */
export class AgentTokenError extends Error {
  static {
    brandError(AgentTokenError, 'AgentTokenError')
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

/** A denial code of ajwt, such as `step_out_of_order`, or one that a later version adds. */
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
  /** Agent, workflow, step, scope and resource of the token, as text. */
  about: string
  /** The resource identifier in the API's metadata. */
  resource?: string | undefined
  /** The resource that the token was requested for. */
  requestedResource?: string
}

/** A denial by an API that ajwt protects. No handler ran. */
export class AjwtDeniedError extends Error {
  static {
    brandError(AjwtDeniedError, 'AjwtDeniedError')
  }
  override readonly name = 'AjwtDeniedError'
  readonly code: AjwtCode
  readonly status: number
  /** The OAuth error, if the denial has one. */
  readonly error: string | undefined
  readonly description: string
  /** The API's challenge: required scopes, a stronger user authentication, the URL of its metadata. */
  readonly challenge: AjwtChallenge | undefined
  /** `Retry-After` in seconds, if the API sent it (status 503). */
  readonly retryAfter: number | undefined
  /** For `audience_mismatch`: the resource in the API's metadata (RFC 9728), if it could be read. */
  readonly resource: string | undefined

  constructor(denial: DeniedCall) {
    super(`${denial.status} ${denial.code}: ${denial.description} (${denial.about})${resourceHint(denial)}`)
    this.resource = denial.resource
    this.code = denial.code
    this.status = denial.status
    this.error = denial.error
    this.description = denial.description
    this.challenge = denial.challenge
    this.retryAfter = denial.retryAfter
  }
}

function resourceHint({ resource, requestedResource }: DeniedCall): string {
  if (resource === undefined) return ''
  if (resource === requestedResource) {
    return (
      '. The API says that it is that resource: check which audience the authorization server puts into ' +
      'its tokens'
    )
  }
  return (
    `. The API says that it is the resource ${resource}: set intent.resource, or the client's option ` +
    'resource, to that value'
  )
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
 * A delegation that must not be made, accepted or used. An API would deny a token that carries it with the
 * same `code`.
 */
export class AgentDelegationError extends Error {
  static {
    brandError(AgentDelegationError, 'AgentDelegationError')
  }
  override readonly name = 'AgentDelegationError'
  readonly code: DelegationFault

  constructor(code: DelegationFault, message: string) {
    super(message)
    this.code = code
  }
}
