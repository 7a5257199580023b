import { remedies } from '../../src/explain/remedies.js'
import type { DenialCode } from '../../src/index.js'

/** Causes of each denial in Markdown, for docs/denials.md. The remedies are in `src/explain/remedies.ts`. */
const causes: Readonly<Record<DenialCode, string>> = {
  credentials_missing: 'There is no `Authorization` header, or the token is only in the query string.',
  scheme_unsupported:
    'The scheme is not `DPoP`, and not `Bearer` where the policy allows Bearer. Basic is an example.',
  credentials_ambiguous:
    'The request has two `Authorization` headers, two credentials in one header, or tokens in two places.',
  message_malformed:
    'The body of a request to an MCP server is no JSON-RPC message, is a batch, was not parsed, or ' +
    '`Mcp-Method` or `Mcp-Name` differs from it. The response is a JSON-RPC error: `-32700`, `-32600`, ' +
    '`-32602` or `-32020`.',
  token_malformed:
    'The token is not a compact JWS that the strict parser accepts: padding, a duplicate member, ' +
    'invalid UTF-8, over 16 KiB, or an opaque token.',
  token_type_not_allowed:
    'The `typ` of the header is not accepted, or the token is an ID token or a logout token, or a claim ' +
    'that the issuer entry requires is missing.',
  algorithm_not_allowed:
    'The `alg` of the token is `none`, symmetric, unknown, or not in `token.algorithms`.',
  issuer_not_trusted:
    '`iss` is not the `url` or `name` of a configured issuer (compared as strings, so a final slash ' +
    'matters), or the token is in the wrong header field.',
  key_not_found: 'The key set of the issuer has no key that matches the `kid` and `alg` of the token.',
  signature_invalid:
    'The token was changed after it was signed, or it was signed with another key and has a known `kid`.',
  audience_mismatch: 'No value of `aud` is a configured `audience`.',
  token_expired: '`exp` has passed.',
  token_not_yet_valid: '`iat` or `nbf` is in the future by more than `token.clockTolerance`.',
  token_lifetime_exceeded: '`exp - iat` is more than `token.maxLifetime` (300 s by default).',
  claims_invalid:
    'A required claim is missing or has the wrong type. `facts.cause.claim` names it. The usual case is ' +
    'a token without `intent` under profile `ajwt`.',
  token_revoked:
    'The token, its registration, its agent, its key, or a delegator in its chain is on the revocation list.',
  token_reused: 'The route has `once: true`, and the token was used before on a route with `once`.',
  proof_required:
    'A token with `cnf` was sent as Bearer, or the token has no `cnf` and the policy requires proofs.',
  proof_key_mismatch: 'The proof was signed with another key than the one in `cnf.jkt`.',
  delegation_malformed:
    '`intent.delegation` is not an array of strings, or an assertion has a wrong `typ`, `alg`, `jwk` or ' +
    'member.',
  delegation_too_deep: 'The chain has more assertions than `delegation.maxDepth` (4 by default).',
  delegation_link_broken:
    'An assertion is not signed by the agent and the key that the previous assertion names, or the ' +
    'issuer attests another key in `delegator_jkts`.',
  delegation_scope_widened: 'A hop, or the token, has a scope that the previous hop does not have.',
  delegation_expired: 'An assertion has expired, or it expires before the token or a later assertion.',
  delegation_context_mismatch:
    'The assertions and the token are not all for one audience, one workflow and one intent.',
  delegation_loop: 'An agent id or a `jti` appears twice in the chain.',
  delegation_hash_mismatch: '`intent.delegation_chain` is not the hash of the agents in `intent.delegation`.',
  delegation_signature_invalid: 'An assertion was changed after it was signed.',
  proof_missing: 'The scheme is `DPoP` and there is no `DPoP` header.',
  proof_malformed:
    'The request has two `DPoP` headers, or the proof is not a compact JWS with `typ: dpop+jwt` and all ' +
    'claims.',
  proof_algorithm_not_allowed: 'The `alg` of the proof is not in `proof.algorithms`.',
  proof_key_invalid:
    'The `jwk` of the proof is private, not canonical, too small, or does not match its `alg`.',
  proof_token_mismatch: '`ath` is not the hash of this access token.',
  proof_method_mismatch: '`htm` is not the method of the request, in upper case.',
  proof_uri_mismatch:
    '`htu` is not `publicUrl` plus the path of the request. The usual case is a proxy that removes a prefix.',
  proof_stale: '`iat` of the proof is older than `proof.maxAge` (60 s), or in the future.',
  proof_signature_invalid: 'The proof was changed after it was signed.',
  proof_replayed: 'The same proof was sent before: by a retry, by a proxy, or by an attacker.',
  proof_nonce_required: 'The policy has `proof.nonce: "required"`, and the proof has no current nonce.',
  user_authentication_required: '`acr`, `amr` or `auth_time` of the token does not meet the rule.',
  scope_insufficient: 'The token lacks a scope of the rule.',
  route_not_declared:
    'No key of `routes` matches, or the path or the method is ambiguous. `facts.cause.reason` says which.',
  workflow_not_allowed: 'The token is for another workflow, or for none.',
  step_not_allowed: 'The token is for another step of the workflow.',
  step_out_of_order: 'Not all steps before this step are completed.',
  agent_not_allowed:
    'The agent is not in `agents` of the rule, or its registration is not in `agents` of the policy.',
  agent_checksum_not_allowed: 'The checksum of the agent is not in `agents` of the policy.',
  delegation_required: 'A signed chain is required, but the call is direct or has only the hash of a chain.',
  delegation_not_allowed:
    'The chain is too deep for the rule, or the rule does not list its initiator or the chain.',
  claim_not_allowed:
    'A constraint in `claims`, or `user.sub`, is not met. `facts.cause.claim` names the claim.',
  tool_not_declared:
    'No rule of the MCP server names the tool, prompt, resource or method. The response is a JSON-RPC ' +
    'error, `-32602` or `-32601`, with status 200.',
  argument_not_allowed:
    'The content of the request does not meet the rule of a handler (`query`, `digest`, `body`) or of a ' +
    'tool (`arguments`), or the `cost` of a limit is not a number.',
  session_not_yours:
    'The request names the `Mcp-Session-Id` or the task of another owner, or the app has answered with ' +
    'one: `bindSessions`.',
  not_authorized: 'The option `authorize` has denied the request.',
  limit_exceeded:
    'The caller has used up a `limit` of the rule: per token, agent, initiator, intent or run. ' +
    '`facts.cause` names the limit.',
  keys_unavailable:
    'The JWKS or the metadata of the issuer could not be fetched, or the limit of fetches for unknown ' +
    '`kid`s is reached.',
  replay_store_unavailable: 'The replay store did not respond in time, or has recently lost its data.',
  revocations_unavailable: 'The revocation list could not be read, or is older than `maxStale`.',
  limits_unavailable:
    'The limit store did not answer in time, or all its counters are in use. Nothing was counted for ' +
    'this request.',
  authorizer_unavailable:
    'The option `authorize` has thrown, has not answered within `authorizeTimeout` (1 s), or has ' +
    'returned neither true nor false.',
  internal_error:
    'The verifier is closed, the option `now` returns no number, the adapter runs in another framework, ' +
    'or there is a bug.',
}

export function helpOf(code: DenialCode): { cause: string; mender: string; remedy: string } {
  return { cause: causes[code], ...remedies[code] }
}
