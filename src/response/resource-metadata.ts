import type { Answer } from '../decision.js'

/** Protected resource metadata (RFC 9728 section 2). Empty arrays are omitted (section 3.2). */
export interface ResourceMetadata {
  readonly resource: string
  readonly authorization_servers?: readonly string[]
  readonly scopes_supported?: readonly string[]
  readonly bearer_methods_supported: readonly string[]
  readonly dpop_signing_alg_values_supported?: readonly string[]
  readonly dpop_bound_access_tokens_required: boolean
  /** Not of RFC 9728: the workflows that a token can be for, with `metadata.intents` of the policy. */
  readonly intents_supported?: Intents
}

/** Workflows with their steps. */
export type Intents = readonly { readonly workflow: string; readonly steps: readonly string[] }[]

const wellKnown = '/.well-known/oauth-protected-resource'

/** The parts of a compiled policy that its metadata contains. */
export interface MetadataSource {
  readonly issuers: ReadonlyMap<string, { readonly url: string | undefined }>
  readonly resource: string
  readonly scopes: readonly string[]
  readonly intents: Intents | undefined
  readonly proof: { readonly required: boolean; readonly algorithms: ReadonlyMap<string, unknown> }
}

/**
 * The metadata URL of a resource: the well-known path stands between origin and path (RFC 9728 section 3.1).
 */
export function metadataUrl(resource: string): string {
  const { origin, pathname } = new URL(resource)
  return `${origin}/.well-known/oauth-protected-resource${pathname === '/' ? '' : pathname}`
}

export function toMetadata(policy: MetadataSource): ResourceMetadata {
  const issuers = [...policy.issuers.values()].flatMap(({ url }) => url ?? [])
  const algorithms = [...policy.proof.algorithms.keys()]
  return {
    resource: policy.resource,
    ...(issuers.length > 0 && { authorization_servers: issuers }),
    ...(policy.scopes.length > 0 && { scopes_supported: [...policy.scopes] }),
    bearer_methods_supported: ['header'],
    ...(algorithms.length > 0 && { dpop_signing_alg_values_supported: algorithms }),
    dpop_bound_access_tokens_required: policy.proof.required,
    ...(policy.intents !== undefined && policy.intents.length > 0 && { intents_supported: policy.intents }),
  }
}

/**
 * The response to a metadata request, with or without the resource's path. Undefined for any other request.
 * CORS is open to every origin, because the metadata is public.
 */
export function metadataResponse(policy: MetadataSource, method: string, path: string): Answer | undefined {
  if (!path.startsWith(wellKnown)) return undefined
  if (path !== wellKnown && path !== new URL(metadataUrl(policy.resource)).pathname) return undefined
  if (method === 'OPTIONS') return { status: 204, headers: preflightFields, body: '' }
  if (method !== 'GET' && method !== 'HEAD') return undefined
  return { status: 200, headers: metadataFields, body: JSON.stringify(toMetadata(policy)) }
}

const metadataFields = Object.freeze({
  'content-type': 'application/json',
  'cache-control': 'public, max-age=300',
  'access-control-allow-origin': '*',
})

const preflightFields = Object.freeze({
  allow: 'GET, HEAD, OPTIONS',
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, HEAD',
  'access-control-allow-headers': '*',
  'access-control-max-age': '300',
})
