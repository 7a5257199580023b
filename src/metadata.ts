import { type CompiledPolicy, metadataUrl } from './policy/compile.js'

/** Protected resource metadata (RFC 9728 section 2). */
export interface ResourceMetadata {
  readonly resource: string
  readonly authorization_servers: readonly string[]
  readonly scopes_supported: readonly string[]
  readonly bearer_methods_supported: readonly string[]
  readonly dpop_signing_alg_values_supported: readonly string[]
  readonly dpop_bound_access_tokens_required: boolean
}

const wellKnown = '/.well-known/oauth-protected-resource'

export function toMetadata(policy: CompiledPolicy): ResourceMetadata {
  return {
    resource: policy.resource,
    authorization_servers: [...policy.issuers.keys()],
    scopes_supported: [...policy.scopes],
    bearer_methods_supported: ['header'],
    dpop_signing_alg_values_supported: [...policy.proof.algorithms.keys()],
    dpop_bound_access_tokens_required: policy.proof.required,
  }
}

/** Whether a request asks for the metadata: at the app's root, with and without the path of the resource. */
export function isMetadataRequest(policy: CompiledPolicy, method: string, path: string): boolean {
  if ((method !== 'GET' && method !== 'HEAD') || !path.startsWith(wellKnown)) return false
  return path === wellKnown || path === new URL(metadataUrl(policy.resource)).pathname
}
