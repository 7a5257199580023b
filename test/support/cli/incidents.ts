import { delegatedCall } from '../../../fixtures/delegation-kit.js'
import {
  AUDIENCE,
  agentKeys,
  type CallOverrides,
  ISSUER,
  issuerKeys,
  type Kit,
  type WireRequest,
} from '../../../fixtures/kit.js'
import type { Policy } from '../../../src/index.js'

/** The policy of the API, except for the changes of an incident. */
export const policy: Policy = {
  issuer: ISSUER,
  audience: AUDIENCE,
  workflows: { refund: { steps: ['check', 'issue'] } },
  routes: {
    'GET /orders/:id': { scope: 'orders:read' },
    'POST /orders/:id/refund': { scope: 'orders:read', intent: { workflow: 'refund', step: 'issue' } },
  },
}

/** A recorded request that was denied. */
export interface Incident {
  readonly name: string
  readonly policy?: Partial<Policy>
  readonly request: CallOverrides | ((kit: Kit) => WireRequest | Promise<WireRequest>)
  readonly jwks?: unknown
  /** Seconds that the clock of the API is ahead of the recording. */
  readonly late?: number
  readonly flags?: readonly string[]
  readonly code: string
  /** Parts that the output must contain: the cause and the remedy. */
  readonly says: readonly (string | RegExp)[]
}

export const claims = (over: Record<string, unknown>): CallOverrides => ({ token: { claims: over } })
const refund = (intent: Record<string, unknown>): CallOverrides => ({
  method: 'POST',
  path: '/orders/42/refund',
  token: { claims: { intent } },
})
export const withFields =
  (...fields: (readonly [string, string])[]) =>
  (kit: Kit): WireRequest => {
    const call = kit.call()
    return { ...call, headers: [...call.headers, ...fields] }
  }

export const incidents: readonly Incident[] = [
  {
    name: 'wrong audience',
    request: claims({ aud: 'https://billing.example.com' }),
    code: 'audience_mismatch',
    says: [
      'expected https://orders.example.com',
      'found https://billing.example.com',
      'resource=https://orders.example.com',
    ],
  },
  {
    name: 'http instead of https behind a proxy, at the client',
    request: { proof: { htu: 'http://orders.example.com/orders/42' } },
    code: 'proof_uri_mismatch',
    says: ['found http://orders.example.com/orders/42', 'make the proof for the https URL', 'proxy'],
  },
  {
    name: 'http instead of https behind a proxy, at the API',
    policy: { publicUrl: 'http://orders.example.com', allowInsecureHttp: ['orders.example.com'] },
    request: {},
    code: 'proof_uri_mismatch',
    says: ['expected http://orders.example.com/orders/42', 'set publicUrl to "https://orders.example.com"'],
  },
  {
    name: 'stripped prefix',
    request: { proof: { htu: 'https://orders.example.com/shop/v1/orders/42' } },
    code: 'proof_uri_mismatch',
    says: ['set publicUrl to "https://orders.example.com/shop/v1"', 'strips the prefix "/shop/v1"'],
  },
  {
    name: 'stripped prefix, as the client has recorded it',
    request: (kit) => ({
      ...kit.call({ proof: { htu: 'https://orders.example.com/shop/v1/orders/42' } }),
      url: '/shop/v1/orders/42',
    }),
    code: 'route_not_declared',
    says: ['matches the path without /shop/v1', 'set publicUrl to "https://orders.example.com/shop/v1"'],
  },
  {
    name: 'expired key',
    request: {},
    jwks: { keys: [{ ...issuerKeys.rs256.jwk, kid: 'next', alg: 'RS256', use: 'sig' }] },
    code: 'key_not_found',
    says: [
      'expected next',
      `found ${issuerKeys.es256.kid}`,
      'none has this kid',
      'keep old keys until their tokens have expired',
    ],
  },
  {
    name: 'clock off by ten minutes: the client is behind',
    request: { proof: { claims: { iat: 1_790_000_000 - 600 } } },
    code: 'proof_stale',
    says: ['the proof is 600 s old', 'clock', 'NTP'],
  },
  {
    name: 'clock off by ten minutes: the API is behind',
    request: {},
    late: -600,
    code: 'token_not_yet_valid',
    says: ['iat is 590 s ahead of this clock', 'clock', 'NTP'],
  },
  {
    name: 'clock off by ten minutes: the API is ahead',
    request: {},
    late: 600,
    code: 'token_expired',
    says: [/the token expired \d+ s ago/, 'clocks'],
  },
  {
    name: 'trailing slash in the issuer',
    policy: { issuer: `${ISSUER}/` },
    request: {},
    code: 'issuer_not_trusted',
    says: ['trailing slash', `"${ISSUER}"`, 'last slash counts'],
  },
  {
    name: 'wrong kid',
    request: { token: { header: { kid: 'wrong' } } },
    code: 'key_not_found',
    says: ['none has this kid', 'found wrong', 'jwksUri'],
  },
  {
    name: 'missing step: none in the token',
    request: refund({ executed_by: 'agent-7', workflow_id: 'refund' }),
    code: 'step_not_allowed',
    says: ['expected issue', 'found nothing', 'name the step issue in the token request'],
  },
  {
    name: 'missing step: an earlier one was not completed',
    request: refund({
      executed_by: 'agent-7',
      workflow_id: 'refund',
      workflow_step: 'issue',
      step_sequence_hash: 'e3b0c44298fc1c14',
    }),
    code: 'step_out_of_order',
    says: ['completed steps', 'Complete the earlier steps'],
  },
  {
    name: 'scope array',
    request: claims({ scope: ['orders:read'] }),
    code: 'claims_invalid',
    says: ['scope', 'found an array', 'one string, separated by blanks', 'profile "oauth"'],
  },
  {
    name: 'two proofs',
    request: (kit) => withFields(['dpop', kit.proof()])(kit),
    code: 'proof_malformed',
    says: ['more than one DPoP field', 'one DPoP field with one proof'],
  },
  {
    name: 'revoked delegator',
    request: (kit) => delegatedCall(kit),
    flags: ['--revoked', `agent:${ISSUER} planner`],
    code: 'token_revoked',
    says: [
      'an agent of the token or of its delegation is on the revocation list',
      `found agent:${ISSUER} planner clause`,
      `end the revocation of "agent:${ISSUER} planner" with unrevoke`,
    ],
  },
  {
    name: 'algorithm that the policy does not take',
    policy: { token: { algorithms: ['RS256'] } },
    request: {},
    code: 'algorithm_not_allowed',
    says: ['expected RS256', 'found ES256', 'token.algorithms'],
  },
  {
    name: 'nonce missing',
    policy: { proof: { nonce: 'required' } },
    request: {},
    code: 'proof_nonce_required',
    says: ['no nonce', 'DPoP-Nonce'],
  },
  {
    name: 'proof by another key',
    request: { proof: { key: agentKeys.rs256 } },
    code: 'proof_key_mismatch',
    says: ['another key', 'Sign the proof with the key that the token was requested with'],
  },
  {
    name: 'Bearer with a bound token',
    request: { scheme: 'Bearer', proof: null },
    code: 'proof_required',
    says: ['bound to a key', 'send "Authorization: DPoP <token>" with a proof'],
  },
  {
    name: 'no proof',
    request: { proof: null },
    code: 'proof_missing',
    says: ['expected one DPoP field', 'found no DPoP field', 'removes the DPoP header'],
  },
  {
    name: 'proof for another token',
    request: { proof: { claims: { ath: 'another' } } },
    code: 'proof_token_mismatch',
    says: ['another access token', 'new proof after each new token'],
  },
  {
    name: 'proof for another method',
    request: { proof: { method: 'POST' } },
    code: 'proof_method_mismatch',
    says: ['expected GET', 'found POST', 'make the proof with htm "GET"'],
  },
  {
    name: 'method without a key',
    request: { method: 'DELETE' },
    code: 'route_not_declared',
    says: [
      'no key of routes matches',
      'found DELETE /orders/42',
      'add a key for "DELETE /orders/42"',
      'Keys for this path, but for the method: "GET /orders/:id"',
    ],
  },
  {
    name: 'letter case of the path',
    request: { path: '/Orders/42' },
    code: 'route_not_declared',
    says: ['found GET /Orders/42', 'letter case', 'but for letter case or slashes: "GET /orders/:id"'],
  },
  {
    name: 'last slash of the path',
    request: { path: '/orders/42/' },
    code: 'route_not_declared',
    says: ['found GET /orders/42/', 'slash', 'but for letter case or slashes: "GET /orders/:id"'],
  },
  {
    name: 'workflow of another name',
    request: refund({ executed_by: 'agent-7', workflow_id: 'refunds', workflow_step: 'issue' }),
    code: 'workflow_not_allowed',
    says: ['expected refund', 'found refunds', 'Request the token in a run of the workflow'],
  },
  {
    name: 'missing act claim',
    policy: { issuer: { url: ISSUER, profile: 'oauth', read: { agent: '/act/sub' } } },
    request: {},
    code: 'claims_invalid',
    says: ['act.sub is missing', 'found nothing'],
  },
  {
    name: 'agent that was changed after its registration',
    policy: { agents: { 'agent-7': { checksums: [`sha256:${'0'.repeat(64)}`] } } },
    request: {},
    code: 'agent_checksum_not_allowed',
    says: ['checksum', 'add "sha256:', 'roll the agent back'],
  },
  {
    name: 'token in the query',
    request: (kit) => ({ ...kit.call(), url: '/orders/42?access_token=secret' }),
    code: 'credentials_ambiguous',
    says: ['token in the query', 'remove access_token from the query'],
  },
  {
    name: 'two Authorization fields',
    request: withFields(['authorization', 'Basic abc']),
    code: 'credentials_ambiguous',
    says: ['two Authorization fields', 'send one Authorization field'],
  },
  {
    name: 'another scheme',
    request: (kit) => ({ ...kit.call(), headers: [['authorization', 'Basic dXNlcjpwYXNz']] }),
    code: 'scheme_unsupported',
    says: ['neither DPoP nor Bearer', 'expected DPoP or Bearer'],
  },
  {
    name: 'scope missing',
    request: claims({ scope: 'orders:list' }),
    code: 'scope_insufficient',
    says: ['expected orders:read', 'found orders:list'],
  },
  {
    name: 'ordinary token under profile ajwt',
    request: claims({ intent: undefined }),
    code: 'claims_invalid',
    says: ['intent is missing', 'profile "oauth"'],
  },
  {
    name: 'typ JWT',
    request: { token: { header: { typ: 'JWT' } } },
    code: 'token_type_not_allowed',
    says: ['expected at+jwt', 'found jwt', 'token.types'],
  },
  {
    name: 'lifetime of an hour',
    request: (kit) => kit.call(claims({ exp: 1_790_003_600 })),
    code: 'token_lifetime_exceeded',
    says: ['at most 300 s', 'token.maxLifetime'],
  },
  {
    name: 'opaque token',
    request: (kit) => ({ ...kit.call(), headers: [['authorization', 'DPoP opaque-token']] }),
    code: 'token_malformed',
    says: ['three segments', 'opaque tokens'],
  },
  {
    name: 'token that was changed on the way',
    request: { token: { signature: (honest: Buffer) => Buffer.from(honest).reverse() } },
    code: 'signature_invalid',
    says: ['has not made the signature', 'same environment'],
  },
  {
    name: 'two proofs in one field',
    request: (kit) => {
      const call = kit.call()
      return {
        ...call,
        headers: call.headers.map(
          ([name, value]) => [name, name === 'dpop' ? `${value}, ${value}` : value] as const,
        ),
      }
    },
    code: 'proof_malformed',
    says: ['more than one proof', 'one DPoP field with one proof'],
  },
]
