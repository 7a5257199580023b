import { createHmac, createPublicKey, type JsonWebKey, randomUUID } from 'node:crypto'
import type { Attacker, Forgery } from './attacker.js'
import { onTheDelegation, withRevocations } from './attacks-on-delegation.js'
import { scopeList } from './delegation.js'
import { type Attack, altered, DAY, intentWith, proofWith, SOMEBODY, tokenWith } from './forgery.js'
import { generateKey, sequenceHash, signingInput } from './key.js'

const onCredentials: readonly Attack[] = [
  {
    name: 'no credentials',
    expected: [401, 'credentials_missing'],
    applies: ({ anonymous }) => !anonymous,
    forge: () => ({ headers: [] }),
  },
  {
    name: 'credentials that another middleware has taken away',
    expected: [401, 'credentials_missing', 'scheme_unsupported', 'token_malformed', 'proof_missing'],
    applies: ({ anonymous, stripped }) => stripped !== undefined && !anonymous,
    forge: (attacker) => {
      const { headers } = attacker.carry(attacker.token())
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
      return { ...attacker.carry(attacker.token()), path: attacker.path + query }
    },
  },
]

const onTheToken: readonly Attack[] = [
  {
    name: 'a token that nobody signed (alg none)',
    expected: [401, 'algorithm_not_allowed'],
    forge: (attacker) =>
      attacker.carry(`${signingInput({ typ: 'at+jwt', alg: 'none' }, attacker.claims())}.`),
  },
  {
    name: "a token signed with HMAC, under the issuer's public key",
    expected: [401, 'algorithm_not_allowed'],
    forge: (attacker) => {
      const { key, kid } = attacker.mint
      const input = signingInput({ typ: 'at+jwt', alg: 'HS256', kid }, attacker.claims())
      return attacker.carry(`${input}.${createHmac('sha256', pem(key)).update(input).digest('base64url')}`)
    },
  },
  {
    name: "a token signed with another key under the issuer's kid",
    expected: [401, 'signature_invalid'],
    forge: (attacker) => attacker.carry(attacker.mint.sign(attacker.claims(), {}, generateKey())),
  },
  {
    name: 'a token signed with a key that it brings along',
    expected: [401, 'key_not_found'],
    forge: (attacker) => {
      const key = generateKey()
      return attacker.carry(
        attacker.mint.sign(attacker.claims(), { kid: 'brought-along', jwk: key.jwk }, key),
      )
    },
  },
  {
    name: 'a token altered after it was signed',
    expected: [401, 'signature_invalid'],
    forge: (attacker) => attacker.carry(altered(attacker.token(), { scope: 'admin' })),
  },
  {
    name: 'a JWT of another kind, under the right key',
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
    name: 'a token that lives for a year',
    expected: [401, 'token_lifetime_exceeded'],
    forge: tokenWith((_, now) => ({ exp: now + 365 * DAY })),
  },
  {
    name: 'a token that is bound to no key',
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

const onTheProof: readonly Attack[] = [
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
    name: 'a proof of yesterday',
    expected: [401, 'proof_stale'],
    applies: (_, { asksForNonce }) => !asksForNonce,
    forge: proofWith(({ mint }) => ({ claims: { iat: mint.seconds() - DAY } })),
  },
  {
    name: 'a proof of tomorrow',
    expected: [401, 'proof_stale'],
    applies: (_, { asksForNonce }) => !asksForNonce,
    forge: proofWith(({ mint }) => ({ claims: { iat: mint.seconds() + DAY } })),
  },
  {
    // Where a nonce is asked for, it tells the time in place of iat (RFC 9449 section 4.3).
    name: 'a proof with a nonce that the API did not give',
    expected: [401, 'proof_nonce_required'],
    applies: (_, { asksForNonce }) => asksForNonce,
    forge: proofWith(() => ({ nonce: 'made-up' })),
  },
  {
    name: 'a proof for another token',
    expected: [401, 'proof_token_mismatch'],
    forge: (attacker) => attacker.carry(attacker.token(), attacker.proof(attacker.token())),
  },
  {
    name: 'a proof for no token at all',
    expected: [401, 'proof_malformed'],
    forge: proofWith(() => ({ claims: { ath: undefined } })),
  },
  {
    name: 'a proof altered after it was signed',
    expected: [401, 'proof_signature_invalid'],
    forge: (attacker) => {
      const token = attacker.token()
      return attacker.carry(token, altered(attacker.proof(token), { jti: randomUUID() }))
    },
  },
  {
    name: 'a proof with HMAC',
    expected: [401, 'proof_algorithm_not_allowed'],
    forge: proofWith(() => ({ header: { alg: 'HS256' } })),
  },
  {
    name: 'two proofs',
    expected: [401, 'proof_malformed'],
    forge: (attacker) => {
      const token = attacker.token()
      const { headers } = attacker.carry(token)
      return { headers: [...headers, ['dpop', attacker.proof(token)]] }
    },
  },
  {
    name: 'a proof and its token, used again',
    expected: [401, 'proof_replayed'],
    forge: async (attacker) => {
      const honest = attacker.carry(attacker.token())
      await attacker.send(honest)
      return honest
    },
  },
  {
    name: 'a proof and its token, used again at another verifier',
    expected: [401, 'proof_replayed'],
    applies: ({ replica }) => replica !== undefined,
    forge: async (attacker) => {
      const honest = attacker.carry(attacker.token())
      await attacker.send(honest)
      return atReplica(attacker, honest)
    },
  },
]

const onceOnly: readonly Attack[] = [
  {
    name: 'a single-use token, used again',
    expected: [401, 'token_reused'],
    applies: ({ once }) => once === true,
    forge: async (attacker) => attacker.carry(await usedToken(attacker)),
  },
  {
    name: 'a single-use token, used again at another verifier',
    expected: [401, 'token_reused'],
    applies: ({ once, replica }) => once === true && replica !== undefined,
    forge: async (attacker) => atReplica(attacker, attacker.carry(await usedToken(attacker))),
  },
]

async function usedToken(attacker: Attacker): Promise<string> {
  const token = attacker.token()
  await attacker.send(attacker.carry(token))
  return token
}

function atReplica({ target: { replica } }: Attacker, forgery: Forgery): Forgery {
  return replica === undefined ? forgery : { ...forgery, app: replica }
}

const onTheRoute: readonly Attack[] = [
  {
    name: 'a token without the scope',
    expected: [403, 'scope_insufficient'],
    applies: ({ scope, delegation }) => scopeList(scope ?? delegation?.scope ?? []).length > 0,
    forge: tokenWith(() => ({ scope: '' })),
  },
  {
    name: 'a token for another workflow',
    expected: [403, 'workflow_not_allowed'],
    // In a chain each assertion names the workflow: the delegation would be refused first.
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
    name: 'a token for a step whose predecessors were left out',
    expected: [403, 'step_out_of_order'],
    applies: ({ intent }) => (intent?.completedSteps ?? []).length > 0,
    forge: intentWith({ step_sequence_hash: sequenceHash([]) }),
  },
  {
    name: 'a token that nobody was authenticated for',
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
      return { ...attacker.carry(token, attacker.proof(token, { url: attacker.mint.urlOf(path) })), path }
    },
  },
  {
    name: 'another method in a header',
    expected: [403, 'route_not_declared'],
    forge: (attacker) => {
      const override = attacker.method === 'DELETE' ? 'PATCH' : 'DELETE'
      const { headers } = attacker.carry(withoutChain(attacker))
      return { headers: [...headers, ['x-http-method-override', override]] }
    },
  },
]

/** A rule allows a listed chain: where no rule applies, the chain would be refused before the route is. */
function withoutChain(attacker: Attacker): string {
  if (attacker.target.intent?.chain === undefined) return attacker.token()
  const direct = { initiated_by: undefined, initiator_type: undefined, delegation_chain: undefined }
  return attacker.token({ intent: { ...(attacker.claims().intent as object), ...direct } })
}

/** In the order in which a request is checked; those that revoke come last, since they cannot be undone. */
export const corpus: readonly Attack[] = [
  ...onCredentials,
  ...onTheToken,
  ...onTheProof,
  ...onTheDelegation,
  ...onTheRoute,
  ...onceOnly,
  ...withRevocations,
]

function pem({ jwk }: { readonly jwk: JsonWebKey }): string {
  return createPublicKey({ key: { ...jwk }, format: 'jwk' }).export({ type: 'spki', format: 'pem' }) as string
}
