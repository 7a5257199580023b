import type { Denial, DenialBody, Stage } from '../decision.js'
import { type DenialCode, denials } from '../protocol/denials.js'
import type { ChallengeDetails, Refusal } from '../refusal.js'

/** What every challenge of one verifier has in common. */
export interface ChallengeContext {
  /** Blank-separated `alg` names that a proof may use. */
  readonly proofAlgorithms: string
  readonly resourceMetadata: string | undefined
  /** Whether a token that is bound to no key can be let in at all. */
  readonly isBearerAllowed: boolean
}

/** Seconds after which a client may try again what failed through no fault of its own. */
const retryAfter = 1

/** A refusal as it is sent: status, header fields and body, all of fixed text and of the policy's own words. */
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

/** One challenge a scheme (RFC 9110 section 11.6.1, RFC 9449 section 7.1, RFC 6750 section 3, RFC 9728 section 5.1). */
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
  ]
  const metadata =
    context.resourceMetadata === undefined ? [] : [parameter('resource_metadata', context.resourceMetadata)]
  const dpop = `DPoP ${[...common, parameter('algs', context.proofAlgorithms), ...metadata].join(', ')}`
  if (!context.isBearerAllowed) return dpop
  // What is wrong with a proof means nothing to a client that uses Bearer.
  const isAboutProofs = error === 'invalid_dpop_proof' || error === 'use_dpop_nonce'
  const bearer = `Bearer ${[...(isAboutProofs ? [] : common), ...metadata].join(', ')}`.trimEnd()
  // The MCP clients that exist read only the first challenge, and only where its scheme is Bearer.
  return `${bearer}, ${dpop}`
}

/** Every value is the project's own text or the policy's, whose schema lets no quote and no backslash in. */
function parameter(name: string, value: string): string {
  return `${name}="${value}"`
}
