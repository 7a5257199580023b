/**
 * Every reason for which a request is refused: its HTTP status, its OAuth error, and the one sentence that
 * is sent. The sentences are fixed text, so that no answer can carry a token, a key or a claim.
 * `source` is the clause that asks for the refusal.
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
    description: 'The Authorization scheme is not one that this API takes.',
    source: 'RFC 9110 section 11.4',
  },
  credentials_ambiguous: {
    status: 400,
    error: 'invalid_request',
    description: 'The request carries its credentials in more than one way.',
    source: 'RFC 6750 section 2',
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
    description: 'The typ of the token is not that of an access token.',
    source: 'RFC 9068 section 4',
  },
  algorithm_not_allowed: {
    status: 401,
    error: 'invalid_token',
    description: 'The access token is signed with an algorithm that is not allowed here.',
    source: 'RFC 8725 section 3.1',
  },
  issuer_not_trusted: {
    status: 401,
    error: 'invalid_token',
    description: 'The access token is not from an issuer that this API trusts.',
    source: 'RFC 9068 section 4',
  },
  key_not_found: {
    status: 401,
    error: 'invalid_token',
    description: 'No key of the issuer fits the access token.',
    source: 'RFC 7515 section 5.2',
  },
  signature_invalid: {
    status: 401,
    error: 'invalid_token',
    description: 'The signature of the access token does not verify.',
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
    description: 'The access token lives longer than this API allows.',
    source: 'RFC 9700 section 2.2.1',
  },
  claims_invalid: {
    status: 401,
    error: 'invalid_token',
    description: 'A required claim of the access token is missing or not of its type.',
    source: 'RFC 9068 section 2.2',
  },
  token_revoked: {
    status: 401,
    error: 'invalid_token',
    description: 'The access token, its agent, its key or a delegation behind it was revoked.',
    source: 'RFC 7009 section 2',
  },
  token_reused: {
    status: 401,
    error: 'invalid_token',
    description: 'The access token is good for one request here and was used before.',
    source: 'draft-goswami-agentic-jwt-00',
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
    description: 'The DPoP proof is signed by another key than the one the access token is bound to.',
    source: 'RFC 9449 section 7.1',
  },

  delegation_malformed: {
    status: 401,
    error: 'invalid_token',
    description: 'The delegation is not a list of well-formed assertions.',
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
    description: 'The delegation does not lead from the initiator to the agent that holds the token.',
    source: 'draft-goswami-agentic-jwt-00 section 4.3.4',
  },
  delegation_scope_widened: {
    status: 401,
    error: 'invalid_token',
    description: 'A hop of the delegation has scopes that the hop before it has not.',
    source: 'RFC 8693 section 1.1',
  },
  delegation_expired: {
    status: 401,
    error: 'invalid_token',
    description: 'A hop of the delegation has expired or outlives the hop before it.',
    source: 'RFC 7519 section 4.1.4',
  },
  delegation_context_mismatch: {
    status: 401,
    error: 'invalid_token',
    description: 'A hop of the delegation is for another audience, workflow or intent.',
    source: 'draft-goswami-agentic-jwt-00 section 4.3.4',
  },
  delegation_loop: {
    status: 401,
    error: 'invalid_token',
    description: 'An agent or an assertion stands twice in the delegation.',
    source: 'draft-goswami-agentic-jwt-00 section 4.3.4',
  },
  delegation_hash_mismatch: {
    status: 401,
    error: 'invalid_token',
    description: 'The delegation_chain of the token is not that of its delegation.',
    source: 'draft-goswami-agentic-jwt-00 section 4.3.4',
  },
  delegation_signature_invalid: {
    status: 401,
    error: 'invalid_token',
    description: 'The signature of a hop of the delegation does not verify.',
    source: 'RFC 7515 section 5.2',
  },

  proof_missing: {
    status: 401,
    error: 'invalid_dpop_proof',
    description: 'The DPoP header with a proof is missing.',
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
    description: 'The DPoP proof is signed with an algorithm that is not allowed here.',
    source: 'RFC 9449 section 4.3',
  },
  proof_key_invalid: {
    status: 401,
    error: 'invalid_dpop_proof',
    description: 'The key of the DPoP proof is not a public key fit for its algorithm.',
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
    description: 'The DPoP proof is too old, or from the future.',
    source: 'RFC 9449 section 4.3',
  },
  proof_signature_invalid: {
    status: 401,
    error: 'invalid_dpop_proof',
    description: 'The signature of the DPoP proof does not verify.',
    source: 'RFC 9449 section 4.3',
  },
  proof_replayed: {
    status: 401,
    error: 'invalid_dpop_proof',
    description: 'The DPoP proof was used before.',
    source: 'RFC 9449 section 11.1',
  },
  proof_nonce_required: {
    status: 401,
    error: 'use_dpop_nonce',
    description: 'The DPoP proof needs the nonce that comes with this answer.',
    source: 'RFC 9449 section 9',
  },

  user_authentication_required: {
    status: 401,
    error: 'insufficient_user_authentication',
    description: 'The person behind this run has to authenticate anew, or more strongly.',
    source: 'RFC 9470 section 3',
  },

  scope_insufficient: {
    status: 403,
    error: 'insufficient_scope',
    description: 'The access token lacks a scope that this route needs.',
    source: 'RFC 6750 section 3.1',
  },

  route_not_declared: {
    status: 403,
    error: 'access_denied',
    description: 'The policy of this API declares no such route.',
    source: 'RFC 9110 section 15.5.4',
  },
  workflow_not_allowed: {
    status: 403,
    error: 'access_denied',
    description: 'This route is not for the workflow of the token.',
    source: 'draft-goswami-agentic-jwt-00 section 4.4.4',
  },
  step_not_allowed: {
    status: 403,
    error: 'access_denied',
    description: 'This route is not for the workflow step of the token.',
    source: 'draft-goswami-agentic-jwt-00 section 4.4.4',
  },
  step_out_of_order: {
    status: 403,
    error: 'access_denied',
    description: 'The steps that come before this one are not done.',
    source: 'draft-goswami-agentic-jwt-00 section 4.4.4',
  },
  agent_not_allowed: {
    status: 403,
    error: 'access_denied',
    description: 'This agent may not call this route.',
    source: 'RFC 9110 section 15.5.4',
  },
  agent_checksum_not_allowed: {
    status: 403,
    error: 'access_denied',
    description: 'This version of the agent may not call this API.',
    source: 'draft-goswami-agentic-jwt-00',
  },
  delegation_required: {
    status: 403,
    error: 'access_denied',
    description: 'This route needs a delegation that can be verified.',
    source: 'RFC 8693 section 4.1',
  },
  delegation_not_allowed: {
    status: 403,
    error: 'access_denied',
    description: 'This route does not take this delegation.',
    source: 'RFC 8693 section 4.1',
  },
  claim_not_allowed: {
    status: 403,
    error: 'access_denied',
    description: 'A claim of the token does not allow this request.',
    source: 'RFC 9396 section 6',
  },

  keys_unavailable: {
    status: 503,
    error: 'temporarily_unavailable',
    description: 'The keys of the issuer cannot be had right now.',
    source: 'RFC 9110 section 15.6.4',
  },
  replay_store_unavailable: {
    status: 503,
    error: 'temporarily_unavailable',
    description: 'It cannot be told right now whether this request is a replay.',
    source: 'RFC 9110 section 15.6.4',
  },
  revocations_unavailable: {
    status: 503,
    error: 'temporarily_unavailable',
    description: 'It cannot be told right now whether this token was revoked.',
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
  status: 400 | 401 | 403 | 503
  error: string | undefined
  description: string
  source: string
}

/** A stable name for the reason of a refusal. */
export type DenialCode = keyof typeof denials

/** The OAuth `error` that goes with a denial; absent where the request held no credentials to speak of. */
export type DenialError = Exclude<(typeof denials)[DenialCode]['error'], undefined>
