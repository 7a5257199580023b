/**
 * Realistic agents, tokens and proofs for the benchmarks, signed with `node:crypto`. All strings are flat in
 * memory, as if read from a socket.
 */
import { randomUUID } from 'node:crypto'
import { generateKey, jws, published, sha256, type TestKey } from '../../fixtures/kit.js'
import { hashIds } from '../../src/jws/chain-hash.js'

export const ISSUER = 'https://as.example.com'
export const API = 'https://orders.example.com'

export type BenchAlgorithm = 'ES256' | 'EdDSA' | 'RS256' | 'PS256'

/** A request in the shape of Node's `headers`. */
export interface BenchRequest {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
}

export interface BenchAgent {
  readonly id: string
  readonly key: TestKey
}

export interface Workload {
  /** The JWKS of the issuer. */
  readonly jwks: { readonly keys: readonly Record<string, unknown>[] }
  agent(key?: TestKey): BenchAgent
  /** A token for an agent, with additional claims. */
  token(agent: BenchAgent, claims?: Record<string, unknown>): string
  /** A token of `agent` with a chain of `hops` signed assertions. */
  delegatedToken(agent: BenchAgent, hops: number): string
  /** A request with a new proof. */
  request(agent: BenchAgent, token: string, path?: string): BenchRequest
}

/** `lifetime` of the tokens is in seconds. */
export function createWorkload(
  algorithm: BenchAlgorithm = 'ES256',
  { issuer = ISSUER, lifetime = 300, url = API }: { issuer?: string; lifetime?: number; url?: string } = {},
): Workload {
  const issuerKey = generateKey(algorithm, 'as-1')
  let serial = 0

  function token(agent: BenchAgent, claims: Record<string, unknown> = {}): string {
    const iat = seconds()
    const honest = {
      iss: issuer,
      sub: agent.id,
      aud: url,
      client_id: 'orders-bot',
      scope: 'orders:read orders:refund',
      iat,
      exp: iat + lifetime,
      jti: randomUUID(),
      cnf: { jkt: agent.key.thumbprint },
      agent_proof: { agent_checksum: `sha256:${'5'.repeat(64)}`, registration_id: 'reg-1' },
      intent: {
        workflow_id: 'refund',
        workflow_step: 'issue',
        executed_by: agent.id,
        initiated_by: agent.id,
        initiator_jkt: agent.key.thumbprint,
        delegation_chain: hashIds([agent.id]),
        ...(claims.intent as object | undefined),
      },
    }
    const header = { alg: algorithm, typ: 'at+jwt', kid: issuerKey.kid }
    return flat(jws(header, { ...honest, ...claims, intent: honest.intent }, issuerKey))
  }

  function agent(key = generateKey(algorithm)): BenchAgent {
    return { id: `agent-${serial++}`, key }
  }

  return {
    jwks: { keys: [published(issuerKey)] },
    agent,
    token,
    delegatedToken(executor, hops) {
      const parties = [...Array.from({ length: hops }, () => agent()), executor]
      const delegation: string[] = []
      // The same time for all hops, because no hop may expire after its predecessor.
      const iat = seconds()
      for (let hop = 0; hop < hops; hop++) {
        const [from, to] = [parties[hop] as BenchAgent, parties[hop + 1] as BenchAgent]
        const previous = delegation[hop - 1]
        const claims = {
          iss: from.id,
          sub: to.id,
          cnf: { jkt: to.key.thumbprint },
          aud: url,
          scope: 'orders:read orders:refund',
          iat,
          exp: iat + lifetime + 60,
          jti: randomUUID(),
          workflow_id: 'refund',
          ...(previous === undefined ? {} : { prev: sha256(previous) }),
        }
        delegation.push(
          jws({ alg: algorithm, typ: 'ajwt-delegation+jwt', jwk: from.key.jwk }, claims, from.key),
        )
      }
      const first = parties[0] as BenchAgent
      const keys = parties.slice(0, -1).map(({ key }) => key.thumbprint)
      return token(executor, {
        intent: {
          initiated_by: first.id,
          initiator_jkt: keys[0],
          delegator_jkts: keys,
          delegation,
          delegation_chain: hashIds(parties.map(({ id }) => id)),
        },
      })
    },
    request(by, text, path = '/orders/1') {
      const claims = {
        htm: 'GET',
        htu: `${url}${path}`,
        jti: randomUUID(),
        ath: sha256(text),
        iat: seconds(),
      }
      const proof = jws({ alg: algorithm, typ: 'dpop+jwt', jwk: by.key.jwk }, claims, by.key)
      return {
        method: 'GET',
        url: path,
        headers: {
          host: 'orders.example.com',
          'user-agent': 'agent/1.0',
          accept: 'application/json',
          'accept-encoding': 'gzip, deflate',
          connection: 'keep-alive',
          authorization: flat(`DPoP ${text}`),
          dpop: flat(proof),
        },
      }
    },
  }
}

function seconds(): number {
  return Math.floor(Date.now() / 1000)
}

/** A flat string. Concatenation and slice make ropes and sliced strings. */
function flat(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}
