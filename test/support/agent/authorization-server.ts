import { createHash, randomUUID } from 'node:crypto'
import {
  calculateJwkThumbprint,
  decodeProtectedHeader,
  EmbeddedJWK,
  exportJWK,
  generateKeyPair,
  type JWK,
  jwtVerify,
  SignJWT,
} from 'jose'
import { json, type Listening, listen } from './http.js'

/** What one token request carried, and what was made of it. */
interface SeenRequest {
  headers: Record<string, unknown>
  params: Record<string, string>
  proof: { jwk: JWK; jkt: string; claims: Record<string, unknown> }
  delegation: { claims: Record<string, unknown>; header: Record<string, unknown>; raw: string }[]
}

export interface TestIssuer extends Listening {
  tokenEndpoint: string
  requests: SeenRequest[]
  issued: string[]
  /** What the server demands or answers differently; all off at first. */
  behave: {
    nonce?: string
    lifetime?: number | undefined
    /** Answers instead of the grant; undefined lets it go on. */
    answer?: (
      seen: SeenRequest,
    ) => { status: number; body: unknown; headers?: Record<string, string> } | undefined
    /** Members that the answer has otherwise. */
    change?: Record<string, unknown>
    /** Claims that the token has otherwise. */
    claims?: Record<string, unknown>
    delay?: number
  }
}

/**
 * A token endpoint with the agent_checksum grant and RFC 8693, made of node:http and jose alone: it checks
 * proofs and delegations by its own reading of the standards.
 */
export async function startIssuer(): Promise<TestIssuer> {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const jwk = { ...(await exportJWK(publicKey)), kid: 'as', alg: 'ES256', use: 'sig' }
  const requests: SeenRequest[] = []
  const issued: string[] = []
  const proofIds = new Set<unknown>()
  const behave: TestIssuer['behave'] = {}

  const server = await listen(async (req, res, text) => {
    if (req.url === '/jwks') return json(res, 200, { keys: [jwk] })
    if (req.url !== '/token' || req.method !== 'POST') return json(res, 404, {})
    const issuer = `http://${req.headers.host}`
    const params = Object.fromEntries(new URLSearchParams(text))
    const proof = await checkedProof(req.headersDistinct.dpop, `${issuer}/token`)
    if (proofIds.has(proof.claims.jti)) throw new Error('proof replayed')
    proofIds.add(proof.claims.jti)
    const seen = { headers: req.headers, params, proof, delegation: await readDelegation(params.delegation) }
    requests.push(seen)
    if (behave.delay) await new Promise((resolve) => setTimeout(resolve, behave.delay))
    if (behave.nonce && proof.claims.nonce !== behave.nonce) {
      return json(res, 400, { error: 'use_dpop_nonce' }, { 'dpop-nonce': behave.nonce })
    }
    const other = behave.answer?.(seen)
    if (other) return json(res, other.status, other.body, other.headers)

    const lifetime = 'lifetime' in behave ? behave.lifetime : 300
    const tokenClaims: Record<string, unknown> = { ...(await claims(seen, issuer)), ...behave.claims }
    const token = await new SignJWT(tokenClaims)
      .setProtectedHeader({ typ: 'at+jwt', alg: 'ES256', kid: 'as' })
      .setIssuedAt()
      .setExpirationTime(Math.floor(Date.now() / 1000) + (lifetime ?? 300))
      .sign(privateKey)
    issued.push(token)
    const nonce: Record<string, string> = behave.nonce ? { 'dpop-nonce': behave.nonce } : {}
    json(
      res,
      200,
      {
        access_token: token,
        token_type: 'DPoP',
        expires_in: lifetime,
        scope: params.scope,
        ...behave.change,
      },
      { 'cache-control': 'no-store', ...nonce },
    )
  })

  async function claims(seen: SeenRequest, issuer: string) {
    const { params, proof, delegation } = seen
    const subject = params.subject_token ? await subjectOf(params, issuer) : undefined
    const initiator = delegation[0]?.claims.iss ?? subject ?? params.agent_id
    const ids = [initiator, ...delegation.map((hop) => hop.claims.sub), ...(subject ? [params.agent_id] : [])]
    const hash = (list: unknown[]) => createHash('sha256').update(list.join('|')).digest('hex').slice(0, 16)
    const delegatorKeys = await Promise.all(
      delegation.map((hop) => calculateJwkThumbprint(hop.header.jwk as JWK)),
    )
    return {
      iss: issuer,
      aud: params.resource,
      sub: params.agent_id,
      client_id: params.client_id ?? 'basic-client',
      jti: randomUUID(),
      scope: params.scope,
      cnf: { jkt: proof.jkt },
      agent_proof: { agent_checksum: params.agent_checksum, registration_id: 'reg-1' },
      intent: {
        executed_by: params.agent_id,
        initiated_by: initiator,
        delegation_chain: hash(ids),
        ...(params.workflow_id ? { workflow_id: params.workflow_id } : {}),
        ...(params.workflow_step
          ? {
              workflow_step: params.workflow_step,
              step_sequence_hash: hash(params.completed_steps?.split(' ') ?? []),
            }
          : {}),
        ...(params.intent_hash ? { intent_hash: params.intent_hash } : {}),
        ...(delegation.length > 0
          ? {
              initiator_jkt: delegatorKeys[0],
              delegator_jkts: delegatorKeys,
              delegation: delegation.map((hop) => hop.raw),
            }
          : {}),
      },
    }
  }

  /** RFC 8693: the token to be exchanged is this server's own, and unexpired. */
  async function subjectOf(params: Record<string, string>, issuer: string) {
    if (params.subject_token_type !== 'urn:ietf:params:oauth:token-type:access_token') throw new Error('type')
    const { payload } = await jwtVerify(params.subject_token ?? '', publicKey, { issuer, typ: 'at+jwt' })
    return payload.sub
  }

  return Object.assign(server, { tokenEndpoint: `${server.origin}/token`, requests, issued, behave })
}

/** RFC 9449 section 4.3, without a token. */
async function checkedProof(field: string[] | undefined, url: string) {
  if (field?.length !== 1) throw new Error('one DPoP field')
  const { payload, protectedHeader } = await jwtVerify(field[0] ?? '', EmbeddedJWK, {
    typ: 'dpop+jwt',
    algorithms: ['ES256', 'Ed25519', 'PS256'],
    maxTokenAge: 60,
    clockTolerance: 5,
  })
  if (payload.htm !== 'POST' || payload.htu !== url) throw new Error('htm, htu')
  if ('ath' in payload || typeof payload.jti !== 'string') throw new Error('ath, jti')
  const jwk = protectedHeader.jwk as JWK
  return { jwk, jkt: await calculateJwkThumbprint(jwk), claims: payload }
}

/** Each assertion on its own: what makes them a chain is checked by the tests. */
async function readDelegation(text: string | undefined): Promise<SeenRequest['delegation']> {
  return Promise.all(
    (text?.split(' ') ?? []).map(async (raw) => {
      const { payload } = await jwtVerify(raw, EmbeddedJWK, { typ: 'ajwt-delegation+jwt' })
      return { raw, claims: payload, header: { ...decodeProtectedHeader(raw) } }
    }),
  )
}
