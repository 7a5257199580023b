/**
 * Every denial: HTTP status, OAuth error, description for the client, and the clause that requires it.
 * Descriptions are fixed texts, so that no response contains a token, a key or a claim.
 */
export const denials = {
  credentials_missing: {
    status: 401,
    error: undefined,
    description: 'This request needs an access token in the Authorization header.',
    source: 'RFC 6750 section 3.1',
  },
  scheme_unsupported: {
    status: 401,
    error: undefined,
    description: 'This API accepts the DPoP scheme, and Bearer only if its challenge offers it.',
    source: 'RFC 9110 section 11.4',
  },
  credentials_ambiguous: {
    status: 400,
    error: 'invalid_request',
    description: 'The request has credentials in more than one place.',
    source: 'RFC 6750 section 2',
  },
  message_malformed: {
    status: 400,
    error: 'invalid_request',
    description: 'The body is not one JSON-RPC message that this server accepts.',
    source: 'MCP 2026-07-28, basic/transports/streamable-http',
  },

  token_malformed: {
    status: 401,
    error: 'invalid_token',
    description: 'The access token is not a well-formed JWS.',
    source: 'RFC 7515 section 5.2',
  },
  token_type_not_allowed: {
    status: 401,
    error: 'invalid_token',
    description: 'This kind of token is not an access token for this API.',
    source: 'RFC 9068 section 4',
  },
  algorithm_not_allowed: {
    status: 401,
    error: 'invalid_token',
    description: 'The signature algorithm of the access token is not allowed.',
    source: 'RFC 8725 section 3.1',
  },
  issuer_not_trusted: {
    status: 401,
    error: 'invalid_token',
    description: 'The issuer of the access token is not trusted by this API.',
    source: 'RFC 9068 section 4',
  },
  key_not_found: {
    status: 401,
    error: 'invalid_token',
    description: 'The issuer publishes no key that matches the access token.',
    source: 'RFC 7515 section 5.2',
  },
  signature_invalid: {
    status: 401,
    error: 'invalid_token',
    description: 'The signature of the access token is invalid.',
    source: 'RFC 7515 section 5.2',
  },
  audience_mismatch: {
    status: 401,
    error: 'invalid_token',
    description: 'The access token was issued for another audience.',
    source: 'RFC 9068 section 4',
  },
  token_expired: {
    status: 401,
    error: 'invalid_token',
    description: 'The access token has expired.',
    source: 'RFC 7519 section 4.1.4',
  },
  token_not_yet_valid: {
    status: 401,
    error: 'invalid_token',
    description: 'The access token is not valid yet.',
    source: 'RFC 7519 section 4.1.5',
  },
  token_lifetime_exceeded: {
    status: 401,
    error: 'invalid_token',
    description: 'The access token is valid for longer than this API allows.',
    source: 'RFC 9700 section 2.2.1',
  },
  claims_invalid: {
    status: 401,
    error: 'invalid_token',
    description: 'A required claim of the access token is missing or has the wrong type.',
    source: 'RFC 9068 section 2.2',
  },
  token_revoked: {
    status: 401,
    error: 'invalid_token',
    description: 'The access token, its agent, its key or a delegation was revoked.',
    source: 'RFC 7009 section 2',
  },
  token_reused: {
    status: 401,
    error: 'invalid_token',
    description: 'This access token is single-use and has already been used.',
    source: 'draft-goswami-agentic-jwt-01',
  },
  proof_required: {
    status: 401,
    error: 'invalid_token',
    description: 'A DPoP-bound access token with a DPoP proof is required.',
    source: 'RFC 9449 section 7.2',
  },
  proof_key_mismatch: {
    status: 401,
    error: 'invalid_token',
    description: 'The key of the DPoP proof is not the key that the access token is bound to.',
    source: 'RFC 9449 section 7.1',
  },

  delegation_malformed: {
    status: 401,
    error: 'invalid_token',
    description: 'The delegation is not an array of well-formed assertions.',
    source: 'RFC 7515 section 5.2',
  },
  delegation_too_deep: {
    status: 401,
    error: 'invalid_token',
    description: 'The delegation has more hops than this API allows.',
    source: 'RFC 8693 section 4.1',
  },
  delegation_link_broken: {
    status: 401,
    error: 'invalid_token',
    description: 'The delegation chain does not lead from the initiator to the agent that holds the token.',
    source: 'draft-goswami-agentic-jwt-01',
  },
  delegation_scope_widened: {
    status: 401,
    error: 'invalid_token',
    description: 'A delegation assertion grants a scope that the one before it lacks.',
    source: 'RFC 8693 section 1.1',
  },
  delegation_expired: {
    status: 401,
    error: 'invalid_token',
    description: 'A delegation assertion has expired or outlives the one before it.',
    source: 'RFC 7519 section 4.1.4',
  },
  delegation_context_mismatch: {
    status: 401,
    error: 'invalid_token',
    description: 'A delegation assertion is for another audience, workflow or intent.',
    source: 'draft-goswami-agentic-jwt-01',
  },
  delegation_loop: {
    status: 401,
    error: 'invalid_token',
    description: 'An agent or an assertion appears twice in the delegation chain.',
    source: 'draft-goswami-agentic-jwt-01',
  },
  delegation_hash_mismatch: {
    status: 401,
    error: 'invalid_token',
    description: 'The claim delegation_chain does not match the delegation.',
    source: 'draft-goswami-agentic-jwt-01',
  },
  delegation_signature_invalid: {
    status: 401,
    error: 'invalid_token',
    description: 'The signature of a delegation assertion is invalid.',
    source: 'RFC 7515 section 5.2',
  },

  proof_missing: {
    status: 401,
    error: 'invalid_dpop_proof',
    description: 'The DPoP header is missing.',
    source: 'RFC 9449 section 7.1',
  },
  proof_malformed: {
    status: 401,
    error: 'invalid_dpop_proof',
    description: 'The request needs exactly one well-formed DPoP proof.',
    source: 'RFC 9449 section 4.3',
  },
  proof_algorithm_not_allowed: {
    status: 401,
    error: 'invalid_dpop_proof',
    description: 'The signature algorithm of the DPoP proof is not allowed.',
    source: 'RFC 9449 section 4.3',
  },
  proof_key_invalid: {
    status: 401,
    error: 'invalid_dpop_proof',
    description: 'The key of the DPoP proof is not a valid public key for its algorithm.',
    source: 'RFC 9449 section 4.3',
  },
  proof_token_mismatch: {
    status: 401,
    error: 'invalid_dpop_proof',
    description: 'The DPoP proof was made for another access token.',
    source: 'RFC 9449 section 4.3',
  },
  proof_method_mismatch: {
    status: 401,
    error: 'invalid_dpop_proof',
    description: 'The DPoP proof was made for another method.',
    source: 'RFC 9449 section 4.3',
  },
  proof_uri_mismatch: {
    status: 401,
    error: 'invalid_dpop_proof',
    description: 'The DPoP proof was made for another URL.',
    source: 'RFC 9449 section 4.3',
  },
  proof_stale: {
    status: 401,
    error: 'invalid_dpop_proof',
    description: 'The DPoP proof is too old or from the future.',
    source: 'RFC 9449 section 4.3',
  },
  proof_signature_invalid: {
    status: 401,
    error: 'invalid_dpop_proof',
    description: 'The signature of the DPoP proof is invalid.',
    source: 'RFC 9449 section 4.3',
  },
  proof_replayed: {
    status: 401,
    error: 'invalid_dpop_proof',
    description: 'The DPoP proof has already been used.',
    source: 'RFC 9449 section 11.1',
  },
  proof_nonce_required: {
    status: 401,
    error: 'use_dpop_nonce',
    description: 'The DPoP proof must contain the nonce from the DPoP-Nonce header.',
    source: 'RFC 9449 section 9',
  },

  user_authentication_required: {
    status: 401,
    error: 'insufficient_user_authentication',
    description: 'The user behind this request must authenticate again or with a stronger method.',
    source: 'RFC 9470 section 3',
  },

  scope_insufficient: {
    status: 403,
    error: 'insufficient_scope',
    description: 'The access token lacks a scope that this request needs.',
    source: 'RFC 6750 section 3.1',
  },

  route_not_declared: {
    status: 403,
    error: 'access_denied',
    description: 'The policy of this API does not allow this route.',
    source: 'RFC 9110 section 15.5.4',
  },
  workflow_not_allowed: {
    status: 403,
    error: 'access_denied',
    description: 'The access token was issued for a workflow that this route does not accept.',
    source: 'draft-goswami-agentic-jwt-01',
  },
  step_not_allowed: {
    status: 403,
    error: 'access_denied',
    description: 'The access token was issued for a workflow step that this route does not accept.',
    source: 'draft-goswami-agentic-jwt-01',
  },
  step_out_of_order: {
    status: 403,
    error: 'access_denied',
    description: 'A workflow step that must come first has not been completed.',
    source: 'draft-goswami-agentic-jwt-01',
  },
  agent_not_allowed: {
    status: 403,
    error: 'access_denied',
    description: 'This agent is not allowed to call this route.',
    source: 'RFC 9110 section 15.5.4',
  },
  agent_checksum_not_allowed: {
    status: 403,
    error: 'access_denied',
    description: 'This version of the agent is not allowed to call this API.',
    source: 'draft-goswami-agentic-jwt-01',
  },
  delegation_required: {
    status: 403,
    error: 'access_denied',
    description: 'This route requires a verifiable delegation.',
    source: 'RFC 8693 section 4.1',
  },
  delegation_not_allowed: {
    status: 403,
    error: 'access_denied',
    description: 'This route does not accept this delegation.',
    source: 'RFC 8693 section 4.1',
  },
  claim_not_allowed: {
    status: 403,
    error: 'access_denied',
    description: 'A claim of the access token does not allow this request.',
    source: 'RFC 9396 section 6',
  },
  argument_not_allowed: {
    status: 403,
    error: 'access_denied',
    description: 'The content of this request is not what the access token or the policy allows.',
    source: 'RFC 9396 section 6',
  },
  tool_not_declared: {
    status: 403,
    error: 'access_denied',
    description: 'This MCP server does not have a tool, prompt, resource or method of this name.',
    source: 'MCP 2026-07-28, server/tools',
  },
  session_not_yours: {
    status: 403,
    error: 'access_denied',
    description: 'This MCP session or task belongs to another caller.',
    source: 'Model Context Protocol, Security Best Practices: Session Hijacking',
  },
  not_authorized: {
    status: 403,
    error: 'access_denied',
    description: 'The authorization system of this API does not allow this request.',
    source: 'RFC 9110 section 15.5.4',
  },

  limit_exceeded: {
    status: 429,
    error: 'limit_exceeded',
    description: 'A limit of this API is used up. Retry-After says how long to wait.',
    source: 'RFC 6585 section 4',
  },

  keys_unavailable: {
    status: 503,
    error: 'temporarily_unavailable',
    description: 'The keys of the token issuer are temporarily unavailable.',
    source: 'RFC 9110 section 15.6.4',
  },
  replay_store_unavailable: {
    status: 503,
    error: 'temporarily_unavailable',
    description: 'Replay protection is temporarily unavailable.',
    source: 'RFC 9110 section 15.6.4',
  },
  revocations_unavailable: {
    status: 503,
    error: 'temporarily_unavailable',
    description: 'The revocation list is temporarily unavailable.',
    source: 'RFC 9110 section 15.6.4',
  },
  limits_unavailable: {
    status: 503,
    error: 'temporarily_unavailable',
    description: 'The limits of this API are temporarily unavailable.',
    source: 'RFC 9110 section 15.6.4',
  },
  authorizer_unavailable: {
    status: 503,
    error: 'temporarily_unavailable',
    description: 'The authorization system of this API is temporarily unavailable.',
    source: 'RFC 9110 section 15.6.4',
  },
  internal_error: {
    status: 503,
    error: 'temporarily_unavailable',
    description: 'The request could not be verified.',
    source: 'RFC 9110 section 15.6.4',
  },
} as const satisfies Record<string, DenialEntry>

for (const entry of Object.values(denials)) Object.freeze(entry)
Object.freeze(denials)

interface DenialEntry {
  status: 400 | 401 | 403 | 429 | 503
  error: string | undefined
  description: string
  source: string
}

/** The stable code of a denial. */
export type DenialCode = keyof typeof denials

/** The OAuth `error` of a denial. Denials for missing credentials have none (RFC 6750 section 3.1). */
export type DenialError = Exclude<(typeof denials)[DenialCode]['error'], undefined>
