import type { DenialCode } from '../protocol/denials.js'

/** Who has to change something before the same request is allowed. */
export type Mender =
  | 'caller'
  | 'API'
  | 'issuer'
  | 'caller or API'
  | 'caller or issuer'
  | 'issuer or API'
  | 'nobody'

/** The remedy for a denial. Markdown, for docs/denials.md and for `explain`. */
export interface Remedy {
  readonly mender: Mender
  readonly remedy: string
}

/** One entry for each code: the compiler reports a code without one. */
export const remedies: Readonly<Record<DenialCode, Remedy>> = {
  credentials_missing: {
    mender: 'caller',
    remedy:
      'Send `Authorization: DPoP <token>` and a `DPoP` header. If a CORS preflight gets this denial, mount a CORS middleware in front of `ajwt` or set `preflight: true`.',
  },
  scheme_unsupported: {
    mender: 'caller',
    remedy: 'Use the scheme that the `WWW-Authenticate` header names.',
  },
  credentials_ambiguous: {
    mender: 'caller',
    remedy: 'Send one token in one place. Check whether a proxy adds a second `Authorization` header.',
  },
  message_malformed: {
    mender: 'caller or API',
    remedy:
      'Send one JSON-RPC message, with fields that say what its body says. Mount the JSON parser of the app in front.',
  },
  token_malformed: {
    mender: 'caller or issuer',
    remedy:
      'Send the token unchanged. If the issuer gives opaque tokens, configure JWT access tokens for this API there.',
  },
  token_type_not_allowed: {
    mender: 'caller or API',
    remedy:
      'Send the access token and not the ID token. If the issuer uses another `typ`, set `token.types` in its issuer entry, or use `like`.',
  },
  algorithm_not_allowed: {
    mender: 'issuer or API',
    remedy: 'Use an asymmetric algorithm at the issuer, and list it in `token.algorithms`.',
  },
  issuer_not_trusted: {
    mender: 'caller or API',
    remedy: 'Compare `facts.cause.expected` with `facts.cause.found`. Correct `issuer` in the policy.',
  },
  key_not_found: {
    mender: 'issuer',
    remedy: 'Publish the signing key in the JWKS before signing with it. Check `jwksUri`.',
  },
  signature_invalid: {
    mender: 'caller or issuer',
    remedy:
      'Send the token unchanged. Check that the issuer and the API use the same environment (staging, production).',
  },
  audience_mismatch: {
    mender: 'caller or API',
    remedy:
      'Request the token with the right `resource` (RFC 8707). `facts.cause` shows both values. Compare them with `audience` in the policy.',
  },
  token_expired: {
    mender: 'caller',
    remedy:
      'Request a new token. If new tokens are expired too, correct the clock of the issuer or of the API.',
  },
  token_not_yet_valid: {
    mender: 'issuer or API',
    remedy: 'Synchronize the clocks of the issuer and of the API.',
  },
  token_lifetime_exceeded: {
    mender: 'issuer or API',
    remedy: 'Issue tokens with a shorter life, or raise `token.maxLifetime` for that issuer.',
  },
  claims_invalid: {
    mender: 'issuer or API',
    remedy:
      'Add the claim at the issuer. For ordinary access tokens set `profile: "oauth"`, and `read` where a claim has another name.',
  },
  token_revoked: {
    mender: 'nobody',
    remedy: 'Do not retry. The operator can end the revocation with `unrevoke`.',
  },
  token_reused: {
    mender: 'caller',
    remedy: 'Request a new token for each such request.',
  },
  proof_required: {
    mender: 'caller or API',
    remedy:
      'Request a DPoP-bound token and send it with scheme `DPoP`. To accept unbound tokens, set `proof.required: false` and profile `oauth`.',
  },
  proof_key_mismatch: {
    mender: 'caller',
    remedy:
      'Sign the proof with the key that the token was requested with. A token that was stolen ends here.',
  },
  delegation_malformed: {
    mender: 'caller or issuer',
    remedy: 'Make assertions with `client.delegate` of `ajwt/agent`, and pass them on unchanged.',
  },
  delegation_too_deep: {
    mender: 'caller or API',
    remedy: 'Delegate through fewer agents, or raise `delegation.maxDepth`.',
  },
  delegation_link_broken: {
    mender: 'caller or issuer',
    remedy:
      'Delegate again from the initiator. Every delegator needs a token of its own first, so that the issuer knows its key.',
  },
  delegation_scope_widened: {
    mender: 'caller',
    remedy: 'Ask for no more scope than was delegated. `facts.cause.found` names the scope.',
  },
  delegation_expired: {
    mender: 'caller',
    remedy: 'Delegate again, with a longer `ttl`.',
  },
  delegation_context_mismatch: {
    mender: 'caller',
    remedy: 'Delegate for the resource, workflow and `hash` of this run.',
  },
  delegation_loop: {
    mender: 'caller',
    remedy: 'Do not delegate back to an agent that is already in the chain.',
  },
  delegation_hash_mismatch: {
    mender: 'issuer',
    remedy: 'Compute the hash over the agent ids in order, or leave the claim out.',
  },
  delegation_signature_invalid: {
    mender: 'caller',
    remedy: 'Pass assertions on unchanged.',
  },
  proof_missing: {
    mender: 'caller',
    remedy: 'Send a proof. Check whether a proxy or a CORS rule removes the `DPoP` header.',
  },
  proof_malformed: {
    mender: 'caller',
    remedy: 'Send one proof for each request, with `htm`, `htu`, `iat`, `jti` and `ath`.',
  },
  proof_algorithm_not_allowed: {
    mender: 'caller or API',
    remedy:
      'Use an algorithm that `algs` of the challenge lists. ES384, ES512 and larger RSA hashes are off by default, because they are slow to verify.',
  },
  proof_key_invalid: {
    mender: 'caller',
    remedy:
      'Export the public key as a JWK, with only its public members. Replace a key whose private part was sent.',
  },
  proof_token_mismatch: {
    mender: 'caller',
    remedy: 'Make a new proof after each new token.',
  },
  proof_method_mismatch: {
    mender: 'caller',
    remedy: 'Make the proof for the method that is sent.',
  },
  proof_uri_mismatch: {
    mender: 'caller or API',
    remedy: 'Set `publicUrl` to the URL that clients use. `facts.cause` shows both URLs.',
  },
  proof_stale: {
    mender: 'caller or API',
    remedy:
      'Make a new proof for each request. With clients whose clock is wrong, set `proof.nonce: "required"`: `iat` is then ignored.',
  },
  proof_signature_invalid: {
    mender: 'caller',
    remedy: 'Send the proof unchanged.',
  },
  proof_replayed: {
    mender: 'caller',
    remedy: 'Make a new proof for every request, also for a retry. Turn off retries in the proxy.',
  },
  proof_nonce_required: {
    mender: 'caller',
    remedy:
      'Repeat the request once with the nonce of the `DPoP-Nonce` header. `ajwt/agent` does this itself.',
  },
  user_authentication_required: {
    mender: 'caller',
    remedy: 'Let the person authenticate as `acr_values` and `max_age` of the challenge say (RFC 9470).',
  },
  scope_insufficient: {
    mender: 'caller',
    remedy: 'Request a token with the scopes that `scope` of the challenge lists.',
  },
  route_not_declared: {
    mender: 'API',
    remedy: 'Add the route to the policy. Without an adapter, pass `routing` to `verify`.',
  },
  workflow_not_allowed: {
    mender: 'caller',
    remedy: 'Request the token in a run of the workflow that the route needs.',
  },
  step_not_allowed: {
    mender: 'caller',
    remedy: 'Make this request in the right step.',
  },
  step_out_of_order: {
    mender: 'caller',
    remedy:
      'Complete the earlier steps of this workflow in the same run, and name them in the token request.',
  },
  agent_not_allowed: {
    mender: 'API',
    remedy: 'Add the agent to the policy. With several issuers write `<issuer url> <id>`.',
  },
  agent_checksum_not_allowed: {
    mender: 'API',
    remedy: 'Add the checksum of the new version, or roll the agent back.',
  },
  delegation_required: {
    mender: 'caller',
    remedy: 'Let the initiator delegate to this agent.',
  },
  delegation_not_allowed: {
    mender: 'API',
    remedy: 'Add the chain or the initiator to the rule.',
  },
  claim_not_allowed: {
    mender: 'caller or API',
    remedy: 'Request a token for exactly this object, or correct the constraint.',
  },
  tool_not_declared: {
    mender: 'caller or API',
    remedy:
      'Call a tool that the server lists, or add a rule for it to `tools`, `prompts`, `resources` or `methods`.',
  },
  argument_not_allowed: {
    mender: 'caller or API',
    remedy:
      'Send what was approved: `facts.cause` names the part of the request. If it says that there is no parsed body, mount a body parser.',
  },
  session_not_yours: {
    mender: 'caller',
    remedy:
      'Begin a session of your own with `initialize`. Issuer, subject, agent and initiator are its owner.',
  },
  not_authorized: {
    mender: 'API',
    remedy: 'Read `facts.cause.reason`. Change the rules of the authorization system that `authorize` asks.',
  },
  limit_exceeded: {
    mender: 'caller',
    remedy: 'Wait as long as `Retry-After` says. `RateLimit` on earlier answers tells how much is left.',
  },
  keys_unavailable: {
    mender: 'issuer or API',
    remedy:
      'Retry after `Retry-After`. `facts.cause.reason` names the URL and the failure. Check egress rules.',
  },
  replay_store_unavailable: {
    mender: 'API',
    remedy: 'Retry with a new proof. Check Redis.',
  },
  revocations_unavailable: {
    mender: 'API',
    remedy: 'Check the revocation store (Redis): tokens are accepted again as soon as it answers.',
  },
  limits_unavailable: {
    mender: 'API',
    remedy: 'Retry with a new proof. Check Redis, or the limit store that `facts.cause.reason` speaks of.',
  },
  authorizer_unavailable: {
    mender: 'API',
    remedy: 'Retry with a new proof. Check the authorization system, and `authorizeTimeout`.',
  },
  internal_error: {
    mender: 'API',
    remedy: 'Read the process warnings. `facts.cause.reason` has the error.',
  },
}
