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

/** A token request, with its verified proof and delegations. */
interface ReceivedRequest {
  headers: Record<string, unknown>
  params: Record<string, string>
  proof: { jwk: JWK; jkt: string; claims: Record<string, unknown> }
  delegation: { claims: Record<string, unknown>; header: Record<string, unknown>; raw: string }[]
}

export interface TestIssuer extends Listening {
  tokenEndpoint: string
  requests: ReceivedRequest[]
  issued: string[]
  /** Changes of the server's behavior. None by default. */
  behavior: {
    nonce?: string
    lifetime?: number | undefined
    /** Responds instead of the grant, unless it returns undefined. */
    answer?: (
      request: ReceivedRequest,
    ) => { status: number; body: unknown; headers?: Record<string, string> } | undefined
    /** Overrides of the response. */
    change?: Record<string, unknown>
    /** Overrides of the token's claims. */
    claims?: Record<string, unknown>
    delay?: number
  }
}

/**
 * A token endpoint with the agent_checksum grant and RFC 8693. It uses only node:http and jose, and checks
 * proofs and delegations with code of its own.
 */
export async function startIssuer(): Promise<TestIssuer> {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const jwk = { ...(await exportJWK(publicKey)), kid: 'as', alg: 'ES256', use: 'sig' }
  const requests: ReceivedRequest[] = []
  const issued: string[] = []
  const proofIds = new Set<unknown>()
  const behavior: TestIssuer['behavior'] = {}

  const server = await listen(async (req, res, text) => {
    if (req.url === '/jwks') return json(res, 200, { keys: [jwk] })
    if (req.url !== '/token' || req.method !== 'POST') return json(res, 404, {})
    const issuer = `http://${req.headers.host}`
    const params = Object.fromEntries(new URLSearchParams(text))
    const proof = await checkProof(req.headersDistinct.dpop, `${issuer}/token`)
    if (proofIds.has(proof.claims.jti)) throw new Error('proof replayed')
    proofIds.add(proof.claims.jti)
    const seen = { headers: req.headers, params, proof, delegation: await readDelegation(params.delegation) }
    requests.push(seen)
    if (behavior.delay) await new Promise((resolve) => setTimeout(resolve, behavior.delay))
    if (behavior.nonce && proof.claims.nonce !== behavior.nonce) {
      return json(res, 400, { error: 'use_dpop_nonce' }, { 'dpop-nonce': behavior.nonce })
    }
    const other = behavior.answer?.(seen)
    if (other) return json(res, other.status, other.body, other.headers)

    const lifetime = 'lifetime' in behavior ? behavior.lifetime : 300
    const tokenClaims: Record<string, unknown> = { ...(await claims(seen, issuer)), ...behavior.claims }
    const token = await new SignJWT(tokenClaims)
      .setProtectedHeader({ typ: 'at+jwt', alg: 'ES256', kid: 'as' })
      .setIssuedAt()
      .setExpirationTime(Math.floor(Date.now() / 1000) + (lifetime ?? 300))
      .sign(privateKey)
    issued.push(token)
    const nonce: Record<string, string> = behavior.nonce ? { 'dpop-nonce': behavior.nonce } : {}
    json(
      res,
      200,
      {
        access_token: token,
        token_type: 'DPoP',
        expires_in: lifetime,
        scope: params.scope,
        ...behavior.change,
      },
      { 'cache-control': 'no-store', ...nonce },
    )
  })

  async function claims(seen: ReceivedRequest, issuer: string) {
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

  /** RFC 8693: the subject token must be an unexpired token of this server. */
  async function subjectOf(params: Record<string, string>, issuer: string) {
    if (params.subject_token_type !== 'urn:ietf:params:oauth:token-type:access_token') throw new Error('type')
    const { payload } = await jwtVerify(params.subject_token ?? '', publicKey, { issuer, typ: 'at+jwt' })
    return payload.sub
  }

  return Object.assign(server, { tokenEndpoint: `${server.origin}/token`, requests, issued, behavior })
}

/** RFC 9449 section 4.3, without an access token. */
async function checkProof(field: string[] | undefined, url: string) {
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

/** Verifies each assertion separately. The tests check that they form a chain. */
async function readDelegation(text: string | undefined): Promise<ReceivedRequest['delegation']> {
  return Promise.all(
    (text?.split(' ') ?? []).map(async (raw) => {
      const { payload } = await jwtVerify(raw, EmbeddedJWK, { typ: 'ajwt-delegation+jwt' })
      return { raw, claims: payload, header: { ...decodeProtectedHeader(raw) } }
    }),
  )
}
