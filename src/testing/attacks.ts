import { createHmac, createPublicKey, type JsonWebKey, randomUUID } from 'node:crypto'
import type { Attacker, Forgery } from './attacker.js'
import { scopeList } from './delegation.js'
import { delegationAttacks, revocationAttacks } from './delegation-attacks.js'
import {
  type Attack,
  altered,
  DAY,
  intentMembers,
  intentWith,
  proofWith,
  SOMEBODY,
  tokenWith,
} from './forgery.js'
import { generateKey, sequenceHash, signingInput } from './key.js'

const credentialAttacks: readonly Attack[] = [
  {
    name: 'no credentials',
    expected: [401, 'credentials_missing'],
    applies: ({ anonymous }) => !anonymous,
    forge: () => ({ headers: [] }),
  },
  {
    name: 'credentials removed by another middleware',
    expected: [401, 'credentials_missing', 'scheme_unsupported', 'token_malformed', 'proof_missing'],
    applies: ({ anonymous, stripped }) => stripped !== undefined && !anonymous,
    forge: (attacker) => {
      const { headers } = attacker.withCredentials(attacker.token())
      return { headers: [...headers, ...Object.entries(attacker.target.stripped ?? {})] }
    },
  },
  {
    name: 'a stolen token, sent as Bearer',
    expected: [401, 'proof_required'],
    forge: (attacker) => ({ headers: [['authorization', `Bearer ${attacker.token()}`]] }),
  },
  {
    name: 'a stolen token without a proof',
    expected: [401, 'proof_missing'],
    forge: (attacker) => ({ headers: [['authorization', `DPoP ${attacker.token()}`]] }),
  },
  {
    name: 'a second token in the query',
    expected: [400, 'credentials_ambiguous'],
    forge: (attacker) => {
      const query = `${attacker.path.includes('?') ? '&' : '?'}access_token=${attacker.token()}`
      return { ...attacker.withCredentials(attacker.token()), path: attacker.path + query }
    },
  },
]

const tokenAttacks: readonly Attack[] = [
  {
    name: 'an unsigned token (alg none)',
    expected: [401, 'algorithm_not_allowed'],
    forge: (attacker) =>
      attacker.withCredentials(`${signingInput({ typ: 'at+jwt', alg: 'none' }, attacker.claims())}.`),
  },
  {
    name: "a token signed with HMAC, with the issuer's public key as the secret",
    expected: [401, 'algorithm_not_allowed'],
    forge: (attacker) => {
      const { key, kid } = attacker.factory
      const input = signingInput({ typ: 'at+jwt', alg: 'HS256', kid }, attacker.claims())
      return attacker.withCredentials(
        `${input}.${createHmac('sha256', pem(key)).update(input).digest('base64url')}`,
      )
    },
  },
  {
    name: "a token signed with another key under the issuer's kid",
    expected: [401, 'signature_invalid'],
    forge: (attacker) =>
      attacker.withCredentials(attacker.factory.sign(attacker.claims(), {}, generateKey())),
  },
  {
    name: 'a token signed with a key from its own header',
    expected: [401, 'key_not_found'],
    forge: (attacker) => {
      const key = generateKey()
      return attacker.withCredentials(
        attacker.factory.sign(attacker.claims(), { kid: 'own-header', jwk: key.jwk }, key),
      )
    },
  },
  {
    name: 'a token altered after it was signed',
    expected: [401, 'signature_invalid'],
    forge: (attacker) => attacker.withCredentials(altered(attacker.token(), { scope: 'admin' })),
  },
  {
    name: 'a JWT of another type, signed with the right key',
    expected: [401, 'token_type_not_allowed'],
    forge: tokenWith(() => ({}), { typ: 'logout+jwt' }),
  },
  {
    name: "another issuer's token",
    expected: [401, 'issuer_not_trusted'],
    forge: tokenWith(() => ({ iss: 'https://somebody-else.test' })),
  },
  {
    name: 'a token for another API',
    expected: [401, 'audience_mismatch'],
    forge: tokenWith(() => ({ aud: 'https://somebody-else.test' })),
  },
  {
    name: 'an expired token',
    expected: [401, 'token_expired'],
    forge: tokenWith((_, now) => ({ iat: now - DAY - 60, exp: now - DAY })),
  },
  {
    name: 'a token from the future',
    expected: [401, 'token_not_yet_valid'],
    forge: tokenWith((_, now) => ({ iat: now + DAY, exp: now + DAY + 60 })),
  },
  {
    name: 'a token that is valid for a year',
    expected: [401, 'token_lifetime_exceeded'],
    forge: tokenWith((_, now) => ({ exp: now + 365 * DAY })),
  },
  {
    name: 'a token without a bound key',
    expected: [401, 'claims_invalid'],
    forge: tokenWith(() => ({ cnf: undefined })),
  },
  {
    name: 'a token without an intent',
    expected: [401, 'claims_invalid'],
    forge: tokenWith(() => ({ intent: undefined })),
  },
  {
    name: 'a token whose intent is for another agent',
    expected: [401, 'claims_invalid'],
    forge: intentWith({ executed_by: SOMEBODY }),
  },
]

const proofAttacks: readonly Attack[] = [
  {
    name: "a proof with a thief's key",
    expected: [401, 'proof_key_mismatch'],
    forge: proofWith(() => ({ key: generateKey() })),
  },
  {
    name: 'a proof for another method',
    expected: [401, 'proof_method_mismatch'],
    forge: proofWith(({ method }) => ({ method: method === 'PUT' ? 'PATCH' : 'PUT' })),
  },
  {
    name: 'a proof for another URL',
    expected: [401, 'proof_uri_mismatch'],
    forge: proofWith(({ url }) => ({ url: `${url.split(/[?#]/, 1)[0]}/elsewhere` })),
  },
  {
    name: 'a proof from yesterday',
    expected: [401, 'proof_stale'],
    applies: (_, { asksForNonce }) => !asksForNonce,
    forge: proofWith(({ factory }) => ({ claims: { iat: factory.seconds() - DAY } })),
  },
  {
    name: 'a proof from tomorrow',
    expected: [401, 'proof_stale'],
    applies: (_, { asksForNonce }) => !asksForNonce,
    forge: proofWith(({ factory }) => ({ claims: { iat: factory.seconds() + DAY } })),
  },
  {
    // If the API requires a nonce, the nonce replaces the check of iat (RFC 9449 section 4.3).
    name: 'a proof with a nonce that the API did not issue',
    expected: [401, 'proof_nonce_required'],
    applies: (_, { asksForNonce }) => asksForNonce,
    forge: proofWith(() => ({ nonce: 'made-up' })),
  },
  {
    name: 'a proof for another token',
    expected: [401, 'proof_token_mismatch'],
    forge: (attacker) => attacker.withCredentials(attacker.token(), attacker.proof(attacker.token())),
  },
  {
    name: 'a proof without a token hash',
    expected: [401, 'proof_malformed'],
    forge: proofWith(() => ({ claims: { ath: undefined } })),
  },
  {
    name: 'a proof altered after it was signed',
    expected: [401, 'proof_signature_invalid'],
    forge: (attacker) => {
      const token = attacker.token()
      return attacker.withCredentials(token, altered(attacker.proof(token), { jti: randomUUID() }))
    },
  },
  {
    name: 'a proof signed with HMAC',
    expected: [401, 'proof_algorithm_not_allowed'],
    forge: proofWith(() => ({ header: { alg: 'HS256' } })),
  },
  {
    name: 'two proofs',
    expected: [401, 'proof_malformed'],
    forge: (attacker) => {
      const token = attacker.token()
      const { headers } = attacker.withCredentials(token)
      return { headers: [...headers, ['dpop', attacker.proof(token)]] }
    },
  },
  {
    name: 'a proof and its token, used again',
    expected: [401, 'proof_replayed'],
    forge: async (attacker) => {
      const honest = attacker.withCredentials(attacker.token())
      await attacker.send(honest)
      return honest
    },
  },
  {
    name: 'a proof and its token, used again at another verifier',
    expected: [401, 'proof_replayed'],
    applies: ({ replica }) => replica !== undefined,
    forge: async (attacker) => {
      const honest = attacker.withCredentials(attacker.token())
      await attacker.send(honest)
      return atReplica(attacker, honest)
    },
  },
]

const singleUseAttacks: readonly Attack[] = [
  {
    name: 'a single-use token, used again',
    expected: [401, 'token_reused'],
    applies: ({ once }) => once === true,
    forge: async (attacker) => attacker.withCredentials(await usedToken(attacker)),
  },
  {
    name: 'a single-use token, used again at another verifier',
    expected: [401, 'token_reused'],
    applies: ({ once, replica }) => once === true && replica !== undefined,
    forge: async (attacker) => atReplica(attacker, attacker.withCredentials(await usedToken(attacker))),
  },
]

async function usedToken(attacker: Attacker): Promise<string> {
  const token = attacker.token()
  await attacker.send(attacker.withCredentials(token))
  return token
}

function atReplica({ target: { replica } }: Attacker, forgery: Forgery): Forgery {
  return replica === undefined ? forgery : { ...forgery, app: replica }
}

const routeAttacks: readonly Attack[] = [
  {
    name: 'a token without the scope',
    expected: [403, 'scope_insufficient'],
    applies: ({ scope, delegation }) => scopeList(scope ?? delegation?.scope ?? []).length > 0,
    forge: tokenWith(() => ({ scope: '' })),
  },
  {
    name: 'a token for another workflow',
    expected: [403, 'workflow_not_allowed'],
    // In a chain each assertion names the workflow, so the delegation would be denied first.
    applies: ({ intent, delegation }) => intent?.workflow !== undefined && delegation === undefined,
    forge: intentWith({ workflow_id: 'ajwt-test-other' }),
  },
  {
    name: 'a token for another step',
    expected: [403, 'step_not_allowed'],
    applies: ({ intent }) => intent?.step !== undefined,
    forge: intentWith({ workflow_step: 'ajwt-test-other' }),
  },
  {
    name: 'a token for a step whose predecessors are missing',
    expected: [403, 'step_out_of_order'],
    applies: ({ intent }) => (intent?.completedSteps ?? []).length > 0,
    forge: intentWith({ step_sequence_hash: sequenceHash([]) }),
  },
  {
    name: 'a token without user authentication',
    expected: [401, 'user_authentication_required'],
    applies: ({ user }) => user !== undefined,
    forge: tokenWith(() => ({ acr: undefined, amr: undefined, auth_time: undefined })),
  },
  {
    name: 'the path with two slashes',
    expected: [403, 'route_not_declared'],
    forge: (attacker) => {
      const path = `/${attacker.path}`
      const token = withoutChain(attacker)
      return {
        ...attacker.withCredentials(token, attacker.proof(token, { url: attacker.factory.urlOf(path) })),
        path,
      }
    },
  },
  {
    name: 'another method in a header',
    expected: [403, 'route_not_declared'],
    forge: (attacker) => {
      const override = attacker.method === 'DELETE' ? 'PATCH' : 'DELETE'
      const { headers } = attacker.withCredentials(withoutChain(attacker))
      return { headers: [...headers, ['x-http-method-override', override]] }
    },
  },
]

/** Removes the chain: it is allowed by a rule, and without a rule it would be denied before the route is. */
function withoutChain(attacker: Attacker): string {
  if (attacker.target.intent?.chain === undefined) return attacker.token()
  const direct = { initiated_by: undefined, initiator_type: undefined, delegation_chain: undefined }
  return attacker.token({ intent: { ...intentMembers(attacker.claims()), ...direct } })
}

/** In the order in which a request is checked. Revocations cannot be undone, so they come last. */
export const attacks: readonly Attack[] = [
  ...credentialAttacks,
  ...tokenAttacks,
  ...proofAttacks,
  ...delegationAttacks,
  ...routeAttacks,
  ...singleUseAttacks,
  ...revocationAttacks,
]

function pem({ jwk }: { readonly jwk: JsonWebKey }): string {
  return createPublicKey({ key: { ...jwk }, format: 'jwk' })
    .export({ type: 'spki', format: 'pem' })
    .toString()
}
