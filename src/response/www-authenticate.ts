import type { Denial, DenialBody, Stage } from '../decision.js'
import { type DenialCode, denials } from '../protocol/denials.js'
import type { ChallengeDetails, Refusal } from '../refusal.js'
import { rateLimitFields } from './rate-limit.js'

/** The parameters that all challenges of a verifier share. */
export interface ChallengeContext {
  /** The `alg` values allowed in proofs, separated by blanks. */
  readonly proofAlgorithms: string
  readonly resourceMetadata: string | undefined
  /** Whether unbound tokens are accepted as Bearer. */
  readonly isBearerAllowed: boolean
  /** Whether a challenge names the workflow and the step that a rule needs. */
  readonly areIntentsTold: boolean
}

/** `Retry-After` of a 503 response, in seconds. */
const retryAfter = 1

/** Builds the denial. Every text in it is fixed or from the policy, never from the request. */
export function toDenial(
  { code, details }: Refusal,
  stage: Stage,
  context: ChallengeContext,
  route: string | undefined,
  extraHeaders: Readonly<Record<string, string>> = {},
): Denial {
  const { status, error, description } = denials[code]
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    ...extraHeaders,
    'cache-control': 'no-store',
  }
  if (status === 401 || status === 403) headers['www-authenticate'] = challenge(code, details, context)
  if (status === 503) headers['retry-after'] = String(retryAfter)
  if (details?.limits !== undefined) Object.assign(headers, rateLimitFields(details.limits))
  // A whole number of seconds, at least one: 0 would ask for a loop.
  if (status === 429) headers['retry-after'] = String(Math.max(1, Math.ceil(details?.retryAfter ?? 1)))
  const body: DenialBody = {
    ...(error === undefined ? {} : { error }),
    error_description: description,
    code,
  }
  return Object.freeze({
    outcome: 'deny',
    code,
    stage,
    status,
    ...(error === undefined ? {} : { error }),
    description,
    headers: Object.freeze(headers),
    body: Object.freeze(body),
    ...(route === undefined ? {} : { route }),
  })
}

/**
 * One challenge for each scheme (RFC 6750 section 3, RFC 9110 section 11.6.1, RFC 9449 section 7.1, RFC 9728
 * section 5.1).
 */
function challenge(
  code: DenialCode,
  details: ChallengeDetails | undefined,
  context: ChallengeContext,
): string {
  const { error, description } = denials[code]
  const common = [
    ...(error === undefined ? [] : [parameter('error', error), parameter('error_description', description)]),
    ...(details?.scope === undefined ? [] : [parameter('scope', details.scope)]),
    ...(details?.acrValues === undefined ? [] : [parameter('acr_values', details.acrValues)]),
    ...(details?.maxAge === undefined ? [] : [parameter('max_age', String(details.maxAge))]),
    ...(context.areIntentsTold ? intentOf(details) : []),
  ]
  const metadata =
    context.resourceMetadata === undefined ? [] : [parameter('resource_metadata', context.resourceMetadata)]
  const dpop = `DPoP ${[...common, parameter('algs', context.proofAlgorithms), ...metadata].join(', ')}`
  if (!context.isBearerAllowed) return dpop
  // A Bearer client cannot act on an error about the proof.
  const isProofError = error === 'invalid_dpop_proof' || error === 'use_dpop_nonce'
  const bearer = `Bearer ${[...(isProofError ? [] : common), ...metadata].join(', ')}`.trimEnd()
  // Bearer first: existing MCP clients read only the first challenge, and only if its scheme is Bearer.
  return `${bearer}, ${dpop}`
}

/** A name with a quote or a backslash is left out: other clients read an escape differently. */
function intentOf(details: ChallengeDetails | undefined): string[] {
  const { workflow, step } = details ?? {}
  return Object.entries({ workflow, step }).flatMap(([name, value]) =>
    value === undefined || /["\\]/.test(value) ? [] : [parameter(name, value)],
  )
}

/** Needs no escaping: values are fixed or from the policy, whose schema refuses quotes and backslashes. */
function parameter(name: string, value: string): string {
  return `${name}="${value}"`
}
