import type { DenialCode } from '../../src/index.js'

/** Who has to change something before the same request is allowed. */
type Mender = 'caller' | 'API' | 'issuer' | 'caller or API' | 'caller or issuer' | 'issuer or API' | 'nobody'

/** What a denial code means in practice, for docs/denials.md. Markdown. */
export interface DenialHelp {
  readonly cause: string
  readonly mender: Mender
  readonly remedy: string
}

/** One entry for each code: the compiler reports a code without one. */
export const denialHelp: Readonly<Record<DenialCode, DenialHelp>> = {
  credentials_missing: {
    cause: 'There is no `Authorization` header, or the token is only in the query string.',
    mender: 'caller',
    remedy:
      'Send `Authorization: DPoP <token>` and a `DPoP` header. If a CORS preflight gets this denial, mount a CORS middleware in front of `ajwt` or set `preflight: true`.',
  },
  scheme_unsupported: {
    cause: 'The scheme is not `DPoP`, and not `Bearer` where the policy allows Bearer. Basic is an example.',
    mender: 'caller',
    remedy: 'Use the scheme that the `WWW-Authenticate` header names.',
  },
  credentials_ambiguous: {
    cause:
      'The request has two `Authorization` headers, two credentials in one header, or tokens in two places.',
    mender: 'caller',
    remedy: 'Send one token in one place. Check whether a proxy adds a second `Authorization` header.',
  },
  token_malformed: {
    cause:
      'The token is not a compact JWS that a strict reader accepts: padding, a member twice, bad UTF-8, over 16 KiB, or an opaque token.',
    mender: 'caller or issuer',
    remedy:
      'Send the token unchanged. If the issuer gives opaque tokens, configure JWT access tokens for this API there.',
  },
  token_type_not_allowed: {
    cause:
      'The `typ` of the header is not accepted, or the token is an ID token or a logout token, or a claim that the issuer entry demands is missing.',
    mender: 'caller or API',
    remedy:
      'Send the access token and not the ID token. If the issuer uses another `typ`, set `token.types` in its issuer entry, or use `like`.',
  },
  algorithm_not_allowed: {
    cause: 'The `alg` of the token is `none`, symmetric, unknown, or not in `token.algorithms`.',
    mender: 'issuer or API',
    remedy: 'Use an asymmetric algorithm at the issuer, and list it in `token.algorithms`.',
  },
  issuer_not_trusted: {
    cause:
      '`iss` is not the `url` or `name` of a configured issuer (compared as strings, so a final slash counts), or the token is in the wrong header field.',
    mender: 'caller or API',
    remedy: 'Compare `facts.cause.expected` with `facts.cause.found`. Correct `issuer` in the policy.',
  },
  key_not_found: {
    cause: 'The key set of the issuer has no key that fits the `kid` and `alg` of the token.',
    mender: 'issuer',
    remedy: 'Publish the signing key in the JWKS before signing with it. Check `jwksUri`.',
  },
  signature_invalid: {
    cause:
      'The token was changed after it was signed, or it was signed with another key under a known `kid`.',
    mender: 'caller or issuer',
    remedy:
      'Send the token unchanged. Check that the issuer and the API use the same environment (staging, production).',
  },
  audience_mismatch: {
    cause: 'No value of `aud` is a configured `audience`.',
    mender: 'caller or API',
    remedy:
      'Request the token with the right `resource` (RFC 8707). `facts.cause` shows both values. Compare them with `audience` in the policy.',
  },
  token_expired: {
    cause: '`exp` has passed.',
    mender: 'caller',
    remedy:
      'Request a new token. If new tokens are expired too, correct the clock of the issuer or of the API.',
  },
  token_not_yet_valid: {
    cause: '`iat` or `nbf` is in the future by more than `token.clockTolerance`.',
    mender: 'issuer or API',
    remedy: 'Synchronize the clocks of the issuer and of the API.',
  },
  token_lifetime_exceeded: {
    cause: '`exp - iat` is more than `token.maxLifetime` (300 s by default).',
    mender: 'issuer or API',
    remedy: 'Issue tokens with a shorter life, or raise `token.maxLifetime` for that issuer.',
  },
  claims_invalid: {
    cause:
      'A required claim is missing or has the wrong type. `facts.cause.claim` names it. A token without `intent` under profile `ajwt` is the usual case.',
    mender: 'issuer or API',
    remedy:
      'Add the claim at the issuer. For ordinary access tokens set `profile: "oauth"`, and `read` where a claim has another name.',
  },
  token_revoked: {
    cause:
      'The token, its registration, its agent, its key, or a delegator in its chain is on the revocation list.',
    mender: 'nobody',
    remedy: 'Do not retry. The operator can end the revocation with `unrevoke`.',
  },
  token_reused: {
    cause: 'The route has `once: true`, and the token was used before on a route with `once`.',
    mender: 'caller',
    remedy: 'Request a new token for each such request.',
  },
  proof_required: {
    cause: 'A token with `cnf` was sent as Bearer, or the token has no `cnf` and the policy requires proofs.',
    mender: 'caller or API',
    remedy:
      'Request a DPoP-bound token and send it with scheme `DPoP`. To accept unbound tokens, set `proof.required: false` and profile `oauth`.',
  },
  proof_key_mismatch: {
    cause: 'The proof was made with another key than `cnf.jkt` names.',
    mender: 'caller',
    remedy:
      'Sign the proof with the key that the token was requested with. A token that was stolen ends here.',
  },
  delegation_malformed: {
    cause:
      '`intent.delegation` is not an array of strings, or an assertion has a wrong `typ`, `alg`, `jwk` or member.',
    mender: 'caller or issuer',
    remedy: 'Make assertions with `client.delegate` of `ajwt/agent`, and pass them on unchanged.',
  },
  delegation_too_deep: {
    cause: 'The chain has more assertions than `delegation.maxDepth` (4 by default).',
    mender: 'caller or API',
    remedy: 'Delegate through fewer agents, or raise `delegation.maxDepth`.',
  },
  delegation_link_broken: {
    cause:
      'An assertion is not signed by the agent and the key that the previous assertion names, or the issuer attests another key in `delegator_jkts`.',
    mender: 'caller or issuer',
    remedy:
      'Delegate again from the initiator. Every delegator needs a token of its own first, so that the issuer knows its key.',
  },
  delegation_scope_widened: {
    cause: 'A hop, or the token, has a scope that the hop before it does not have.',
    mender: 'caller',
    remedy: 'Ask for no more scope than was delegated. `facts.cause.found` names the scope.',
  },
  delegation_expired: {
    cause: 'An assertion has expired, or the token or a later assertion outlives it.',
    mender: 'caller',
    remedy: 'Delegate again, with a longer `ttl`.',
  },
  delegation_context_mismatch: {
    cause: 'The assertions and the token are not all for one audience, one workflow and one intent.',
    mender: 'caller',
    remedy: 'Delegate for the resource, workflow and `hash` of this run.',
  },
  delegation_loop: {
    cause: 'An agent id or a `jti` appears twice in the chain.',
    mender: 'caller',
    remedy: 'Do not delegate back to an agent that is already in the chain.',
  },
  delegation_hash_mismatch: {
    cause: '`intent.delegation_chain` is not the hash over the agents of `intent.delegation`.',
    mender: 'issuer',
    remedy: 'Compute the hash over the agent ids in order, or leave the claim out.',
  },
  delegation_signature_invalid: {
    cause: 'An assertion was changed after it was signed.',
    mender: 'caller',
    remedy: 'Pass assertions on unchanged.',
  },
  proof_missing: {
    cause: 'The scheme is `DPoP` and there is no `DPoP` header.',
    mender: 'caller',
    remedy: 'Send a proof. Check whether a proxy or a CORS rule removes the `DPoP` header.',
  },
  proof_malformed: {
    cause:
      'The request has two `DPoP` headers, or the proof is not a compact JWS with `typ: dpop+jwt` and all claims.',
    mender: 'caller',
    remedy: 'Send one proof for each request, with `htm`, `htu`, `iat`, `jti` and `ath`.',
  },
  proof_algorithm_not_allowed: {
    cause: 'The `alg` of the proof is not in `proof.algorithms`.',
    mender: 'caller or API',
    remedy:
      'Use an algorithm that `algs` of the challenge lists. ES384, ES512 and larger RSA hashes are off by default, because they are slow to verify.',
  },
  proof_key_invalid: {
    cause: 'The `jwk` of the proof is private, not canonical, too small, or does not fit its `alg`.',
    mender: 'caller',
    remedy: 'Export the public key as a JWK, with only its public members.',
  },
  proof_token_mismatch: {
    cause: '`ath` is not the hash of this access token.',
    mender: 'caller',
    remedy: 'Make a new proof after each new token.',
  },
  proof_method_mismatch: {
    cause: '`htm` is not the method of the request, in upper case.',
    mender: 'caller',
    remedy: 'Make the proof for the method that is sent.',
  },
  proof_uri_mismatch: {
    cause:
      '`htu` is not `publicUrl` plus the path of the request. A proxy that strips a prefix is the usual case.',
    mender: 'caller or API',
    remedy: 'Set `publicUrl` to the URL that clients use. `facts.cause` shows both URLs.',
  },
  proof_stale: {
    cause: '`iat` of the proof is older than `proof.maxAge` (60 s), or in the future.',
    mender: 'caller or API',
    remedy:
      'Make a new proof for each request. With clients whose clock is wrong, set `proof.nonce: "required"`: `iat` is then ignored.',
  },
  proof_signature_invalid: {
    cause: 'The proof was changed after it was signed.',
    mender: 'caller',
    remedy: 'Send the proof unchanged.',
  },
  proof_replayed: {
    cause: 'The same proof was sent before: by a retry, by a proxy, or by an attacker.',
    mender: 'caller',
    remedy: 'Make a new proof for every request, also for a retry. Turn off retries in the proxy.',
  },
  proof_nonce_required: {
    cause: 'The policy has `proof.nonce: "required"`, and the proof has no current nonce.',
    mender: 'caller',
    remedy:
      'Repeat the request once with the nonce of the `DPoP-Nonce` header. `ajwt/agent` does this itself.',
  },
  user_authentication_required: {
    cause: '`acr`, `amr` or `auth_time` of the token does not meet the rule.',
    mender: 'caller',
    remedy: 'Let the person authenticate as `acr_values` and `max_age` of the challenge say (RFC 9470).',
  },
  scope_insufficient: {
    cause: 'The token lacks a scope of the rule.',
    mender: 'caller',
    remedy: 'Request a token with the scopes that `scope` of the challenge lists.',
  },
  route_not_declared: {
    cause:
      'No key of `routes` matches, or the path or the method can be read in more than one way. `facts.cause.reason` says which.',
    mender: 'API',
    remedy: 'Add the route to the policy. Without an adapter, pass `routing` to `verify`.',
  },
  workflow_not_allowed: {
    cause: 'The token is for another workflow, or for none.',
    mender: 'caller',
    remedy: 'Request the token in a run of the workflow that the route needs.',
  },
  step_not_allowed: {
    cause: 'The token is for another step of the workflow.',
    mender: 'caller',
    remedy: 'Make this request in the right step.',
  },
  step_out_of_order: {
    cause: 'The steps before this step are not all completed.',
    mender: 'caller',
    remedy: 'Complete the earlier steps in the same run.',
  },
  agent_not_allowed: {
    cause: 'The agent is not in `agents` of the rule, or its registration is not in `agents` of the policy.',
    mender: 'API',
    remedy: 'Add the agent to the policy. With several issuers write `<issuer url> <id>`.',
  },
  agent_checksum_not_allowed: {
    cause: 'The checksum of the agent is not in `agents` of the policy.',
    mender: 'API',
    remedy: 'Add the checksum of the new version, or roll the agent back.',
  },
  delegation_required: {
    cause: 'The call is direct, or has only the hash of a chain, where a signed chain is required.',
    mender: 'caller',
    remedy: 'Let the initiator delegate to this agent.',
  },
  delegation_not_allowed: {
    cause: 'The chain is too deep for the rule, or its initiator or the chain itself is not listed.',
    mender: 'API',
    remedy: 'Add the chain or the initiator to the rule.',
  },
  claim_not_allowed: {
    cause: 'A constraint in `claims`, or `user.sub`, does not hold. `facts.cause.claim` names the claim.',
    mender: 'caller or API',
    remedy: 'Request a token for exactly this object, or correct the constraint.',
  },
  keys_unavailable: {
    cause:
      'The JWKS or the metadata of the issuer could not be fetched, or unknown `kid`s have used up the fetches.',
    mender: 'issuer or API',
    remedy:
      'Retry after `Retry-After`. `facts.cause.reason` names the URL and the failure. Check egress rules.',
  },
  replay_store_unavailable: {
    cause: 'The replay store did not answer in time, or lost its memory a moment ago.',
    mender: 'API',
    remedy: 'Retry with a new proof. Check Redis.',
  },
  revocations_unavailable: {
    cause: 'The revocation list could not be asked, or is out of date by more than `maxStale`.',
    mender: 'API',
    remedy: 'Retry. Check Redis.',
  },
  internal_error: {
    cause:
      'The verifier is closed, the option `now` returns no number, the adapter runs in another framework, or there is a bug.',
    mender: 'API',
    remedy: 'Read `facts.cause.reason` and the process warnings.',
  },
}
