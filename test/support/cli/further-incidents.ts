import { shortHash } from '../../../fixtures/delegation-kit.js'
import {
  AUDIENCE,
  agentKeys,
  ISSUER,
  issuerKeys,
  type Kit,
  privateJwk,
  type WireRequest,
} from '../../../fixtures/kit.js'
import { delegationIncidents } from './delegation-incidents.js'
import { claims, type Incident, policy, withFields } from './incidents.js'

const seconds = 1_790_000_000

/** The honest request with another value of one field. */
const withField =
  (name: string, change: (value: string) => string) =>
  (kit: Kit): WireRequest => {
    const call = kit.call()
    const headers = call.headers.map(
      ([field, value]) => [field, field === name ? change(value) : value] as const,
    )
    return { ...call, headers }
  }

const refund = (intent: Record<string, unknown>) => (kit: Kit) =>
  kit.call({ method: 'POST', path: '/orders/42/refund', token: { claims: { intent: kit.intent(intent) } } })

const withRule = (rule: object) => ({ routes: { ...policy.routes, 'GET /orders/:id': rule } })
const oauth = { url: ISSUER, profile: 'oauth' } as const

/** More recorded requests, by the part of the request that is wrong. */
export const furtherIncidents: readonly Incident[] = [
  // Credentials
  {
    name: 'no scheme',
    request: withField('authorization', (value) => value.split(' ')[1] ?? ''),
    code: 'scheme_unsupported',
    says: ['write the scheme and one blank in front of the token'],
  },
  {
    name: 'scheme twice',
    request: withField('authorization', (value) => `DPoP ${value}`),
    code: 'credentials_ambiguous',
    says: ['more than one token', 'send the scheme once'],
  },
  {
    name: 'the word undefined',
    request: withField('authorization', () => 'DPoP undefined'),
    code: 'token_malformed',
    says: ['found the word undefined', 'The variable that should hold it is empty'],
  },
  {
    name: 'scheme without token',
    request: withField('authorization', () => 'DPoP'),
    code: 'token_malformed',
    says: ['found no token', 'send the token after the scheme'],
  },
  {
    name: 'no credentials',
    request: (kit) => ({ ...kit.call(), headers: [['accept', '*/*']] }),
    code: 'credentials_missing',
    says: ['no Authorization field', 'Send Authorization: DPoP <token>'],
  },
  {
    name: 'encrypted token',
    request: (kit) => kit.call({ token: 'eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d' }),
    code: 'token_malformed',
    says: ['found 5 segments', 'turn the encryption of access tokens (JWE) off'],
  },
  {
    name: 'large token',
    request: claims({ groups: 'g'.repeat(16_384) }),
    code: 'token_malformed',
    says: ['longer than 16 KiB', 'put less into the token'],
  },
  // Token
  {
    name: 'clock of the issuer ahead',
    request: claims({ iat: seconds + 600, exp: seconds + 890 }),
    code: 'token_not_yet_valid',
    says: ['iat is 600 s ahead of this clock', 'At the issuer or the API: correct the clock'],
  },
  {
    name: 'several other audiences',
    request: claims({ aud: ['https://a.example.com', 'https://b.example.com'] }),
    code: 'audience_mismatch',
    says: ['found https://a.example.com https://b.example.com', 'add "https://a.example.com" to audience'],
  },
  {
    name: 'last slash of the audience',
    request: claims({ aud: `${AUDIENCE}/` }),
    code: 'audience_mismatch',
    says: ['differs from "https://orders.example.com" in the last slash or in letter case'],
  },
  {
    name: 'no audience',
    request: claims({ aud: undefined }),
    code: 'claims_invalid',
    says: ['aud is missing', 'put aud into the token'],
  },
  {
    name: 'no typ',
    request: { token: { header: { typ: undefined } } },
    code: 'token_type_not_allowed',
    says: ['found nothing', 'add "none" to token.types'],
  },
  {
    name: 'a proof in the place of the token',
    request: (kit) => kit.call({ token: kit.proof() }),
    code: 'token_type_not_allowed',
    says: ['found dpop+jwt', 'the proof in the DPoP field'],
  },
  {
    name: 'alg none',
    request: { token: { header: { alg: 'none' } } },
    code: 'algorithm_not_allowed',
    says: ['found none', 'none is never accepted'],
  },
  {
    name: 'times in milliseconds',
    request: claims({ iat: seconds * 1000, exp: (seconds + 300) * 1000 }),
    code: 'token_lifetime_exceeded',
    says: ['in seconds, not in milliseconds'],
  },
  {
    name: 'exp as a text',
    request: claims({ exp: `${seconds + 290}` }),
    code: 'claims_invalid',
    says: ['expected a number', 'found the text "1790000290"', 'correct exp in the token'],
  },
  {
    name: 'executed_by is another',
    request: (kit) => kit.call(claims({ intent: kit.intent({ executed_by: 'agent-8' }) })),
    code: 'claims_invalid',
    says: [
      'intent.executed_by is not valid',
      'expected the sub of the token',
      'found agent-8',
      'correct intent.executed_by',
    ],
  },
  {
    name: 'bound to a certificate',
    request: claims({ cnf: { 'x5t#S256': 'x' } }),
    code: 'claims_invalid',
    says: ['cnf.x5t#S256', 'with cnf.jkt'],
  },
  {
    name: 'two keys of one kid',
    request: { token: { key: issuerKeys.stranger, header: { kid: issuerKeys.es256.kid } } },
    code: 'signature_invalid',
    says: [`found ${issuerKeys.es256.kid}`, 'same environment'],
  },
  {
    name: 'ID token',
    policy: { issuer: { ...oauth, token: { types: ['at+jwt', 'JWT'] } } },
    request: { token: { header: { typ: 'JWT' }, claims: { nonce: 'n' } } },
    code: 'token_type_not_allowed',
    says: ['nonce is a claim of ID tokens', 'Send the access token and not the ID token'],
  },
  {
    name: 'revoked by its id',
    request: claims({ jti: 'token-1' }),
    flags: ['--revoked', `token:${ISSUER} token-1`],
    code: 'token_revoked',
    says: ['the token, or an assertion', `found token:${ISSUER} token-1`],
  },
  // Proof
  {
    name: 'proof for another port',
    request: { proof: { htu: 'https://orders.example.com:8443/orders/42' } },
    code: 'proof_uri_mismatch',
    says: ['set publicUrl to "https://orders.example.com:8443"'],
  },
  {
    name: 'proof for another path',
    request: { proof: { htu: `${AUDIENCE}/orders/43` } },
    code: 'proof_uri_mismatch',
    says: ['found https://orders.example.com/orders/43', 'one proof is good for one URL'],
  },
  {
    name: 'prefix that the API has too much',
    policy: { publicUrl: `${AUDIENCE}/api` },
    request: {},
    code: 'proof_uri_mismatch',
    says: ['expected https://orders.example.com/api/orders/42', 'take "/api" out of publicUrl'],
  },
  {
    name: 'htu without an origin',
    request: { proof: { htu: '/orders/42' } },
    code: 'proof_uri_mismatch',
    says: ['put the whole URL of the request into htu'],
  },
  {
    name: 'loopback in two spellings',
    policy: { publicUrl: 'http://localhost:3000' },
    request: { proof: { htu: 'http://[::1]:3000/orders/42' } },
    code: 'proof_uri_mismatch',
    says: ['expected http://localhost:3000/orders/42', 'found http://[::1]:3000/orders/42'],
  },
  {
    name: 'clock of the client ahead',
    request: { proof: { claims: { iat: seconds + 300 } } },
    code: 'proof_stale',
    says: ['the proof is 300 s ahead of this clock', 'NTP'],
  },
  {
    name: 'token bound to another key',
    request: claims({ cnf: { jkt: agentKeys.eight.thumbprint } }),
    code: 'proof_key_mismatch',
    says: ['another key than the one in cnf', 'Sign the proof with the key'],
  },
  {
    name: 'private key in the proof',
    request: { proof: { header: { jwk: privateJwk(agentKeys.seven) } } },
    code: 'proof_key_invalid',
    says: ['Replace a key whose private part was sent'],
  },
  {
    name: 'no ath',
    request: { proof: { claims: { ath: undefined } } },
    code: 'proof_malformed',
    says: ['ath is missing', 'put ath into the proof'],
  },
  {
    name: 'token in the place of the proof',
    request: (kit) => kit.call({ proof: { header: { typ: 'at+jwt' } } }),
    code: 'proof_malformed',
    says: ['expected dpop+jwt', 'found at+jwt', 'Is it a token'],
  },
  {
    name: 'htm in lower case',
    request: { proof: { method: 'get' } },
    code: 'proof_method_mismatch',
    says: ['expected GET', 'found get'],
  },
  {
    name: 'algorithm of the proof',
    request: {
      token: { claims: { cnf: { jkt: agentKeys.es384.thumbprint } } },
      proof: { key: agentKeys.es384 },
    },
    code: 'proof_algorithm_not_allowed',
    says: ['found ES384', 'algs of the challenge'],
  },
  // Route and rule
  {
    name: 'method override',
    request: withFields(['x-http-method-override', 'DELETE']),
    code: 'route_not_declared',
    says: ['a method override names another method', 'without X-HTTP-Method-Override'],
  },
  {
    name: 'doubled slash',
    request: { path: '//orders/42' },
    code: 'route_not_declared',
    says: ['more than one way', 'letter case, slashes and percent-encoding count'],
  },
  {
    name: 'encoded slash',
    policy: { routes: { 'GET /files/*': 'authenticated' } },
    request: { path: '/files%2Fa' },
    code: 'route_not_declared',
    says: ['found GET /files%2Fa'],
  },
  {
    name: 'OPTIONS without credentials',
    request: (kit) => ({
      ...kit.call({ method: 'OPTIONS' }),
      headers: [['origin', 'https://app.example.com']],
    }),
    code: 'credentials_missing',
    says: ['preflight'],
  },
  {
    name: 'observed rule',
    policy: withRule({ scope: 'other', mode: 'observe' }),
    request: {},
    code: 'OBSERVED, and so let through without a grant: 403 scope_insufficient',
    says: ['expected other', 'found orders:read'],
  },
  {
    name: 'agent of another issuer',
    policy: {
      issuer: [ISSUER, 'https://b.example.com'],
      ...withRule({ agents: ['https://b.example.com agent-7'] }),
    },
    request: {},
    code: 'agent_not_allowed',
    says: ['expected https://b.example.com agent-7', `found ${ISSUER} agent-7`],
  },
  {
    name: 'hash of the steps of another workflow',
    policy: { workflows: { refund: { steps: ['check', 'issue'] }, order: { steps: ['look', 'pay'] } } },
    request: refund({ step_sequence_hash: shortHash('look') }),
    code: 'step_out_of_order',
    says: ['not the steps before this one', 'the steps up to "look" of workflow "order"'],
  },
  {
    name: 'step of the workflow that the rule does not list',
    request: refund({ workflow_step: 'check', step_sequence_hash: shortHash() }),
    code: 'step_not_allowed',
    says: ['request a token for the step issue; this one is for "check"'],
  },
  {
    name: 'claim of another type',
    policy: withRule({ claims: { '/amount': { max: 100 } } }),
    request: claims({ amount: '50' }),
    code: 'claim_not_allowed',
    says: ['claims["/amount"]', 'expected {"max":100}', 'found "50"'],
  },
  {
    name: 'claim for another object',
    policy: withRule({ claims: { '/order': { param: 'id' } } }),
    request: claims({ order: 'o-8' }),
    code: 'claim_not_allowed',
    says: ['found o-8', 'exactly this object'],
  },
  {
    name: 'authentication of the person',
    policy: withRule({ user: { acr: ['gold'] } }),
    request: claims({ acr: 'silver' }),
    code: 'user_authentication_required',
    says: ['expected gold', 'found silver'],
  },
  {
    name: 'registration',
    policy: { agents: { 'agent-7': { registrationIds: ['reg-8'] } } },
    request: {},
    code: 'agent_not_allowed',
    says: ['add "reg-7" to registrationIds of this agent'],
  },
  {
    name: 'direct call where a chain is needed',
    policy: withRule({ delegation: { required: true } }),
    request: {},
    code: 'delegation_required',
    says: ['the call is direct', 'Let the initiator delegate'],
  },
  ...delegationIncidents,
]
