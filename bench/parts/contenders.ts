/**
 * ajwt and other libraries, each used as its documentation says, with all protection against stolen tokens
 * that it offers.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { auth } from 'express-oauth2-jwt-bearer'
import {
  calculateJwkThumbprint,
  createLocalJWKSet,
  EmbeddedJWK,
  type JWK,
  type JWTPayload,
  jwtVerify,
} from 'jose'
import * as oauth from 'oauth4webapi'
import { createVerifier, type Policy } from '../../src/index.js'
import { versionOf } from './report.js'
import { API, type BenchAlgorithm, type BenchRequest, ISSUER, type Workload } from './workload.js'

/** A library that allows or denies a request. */
export interface Contender {
  readonly name: string
  /** Whether it promises to deny replayed proofs. */
  readonly deniesReplays: boolean
  /** Converts a request to the form that the library expects. Not timed. */
  prepare(request: BenchRequest): unknown
  accepts(prepared: unknown): Promise<boolean>
}

export interface Contenders {
  readonly ajwt: Contender
  readonly others: readonly Contender[]
  close(): void
}

/** The policy of ajwt in most benchmarks. */
export function benchPolicy({ jwks }: Workload, algorithm: BenchAlgorithm = 'ES256'): Policy {
  return {
    issuer: { url: ISSUER, jwks: jwks as never },
    audience: API,
    token: { algorithms: [algorithm] },
    proof: { algorithms: [algorithm] },
    routes: {
      'GET /health': 'public',
      'GET /orders/:id': { scope: 'orders:read', intent: { workflow: 'refund', step: 'issue' } },
      'POST /orders/:id/refund': { scope: 'orders:refund', intent: { workflow: 'refund', step: 'issue' } },
    },
  }
}

export async function createContenders(workload: Workload, algorithm: BenchAlgorithm): Promise<Contenders> {
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(workload.jwks))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const jwksUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
  return {
    ajwt: ajwt(workload, algorithm),
    others: [
      expressOauth2JwtBearer(jwksUri, algorithm),
      oauth4webapi(jwksUri),
      plainJose(workload, algorithm),
    ],
    close: () => server.close(),
  }
}

function ajwt(workload: Workload, algorithm: BenchAlgorithm): Contender {
  const verifier = createVerifier(benchPolicy(workload, algorithm))
  return {
    name: 'ajwt',
    deniesReplays: true,
    prepare: (request) => request,
    accepts: async (request) => (await verifier.verify(request as BenchRequest)).outcome === 'allow',
  }
}

/** Only the middleware, called with the members of a request that it reads, without Express. */
function expressOauth2JwtBearer(jwksUri: string, algorithm: BenchAlgorithm): Contender {
  const check = auth({
    issuer: ISSUER,
    audience: API,
    jwksUri,
    tokenSigningAlg: algorithm,
    dpop: { enabled: true, required: true },
  })
  return {
    name: `express-oauth2-jwt-bearer ${versionOf('express-oauth2-jwt-bearer')}`,
    deniesReplays: false,
    prepare({ method, url, headers }) {
      const host = headers.host as string
      return {
        method,
        url,
        originalUrl: url,
        protocol: 'https',
        host,
        hostname: host,
        headers,
        query: {},
        get: (name: string) => headers[name.toLowerCase()],
        is: () => false,
      }
    },
    accepts: (request) =>
      new Promise((resolve) => {
        check(request as never, {} as never, (error) => resolve(error === undefined))
      }),
  }
}

function oauth4webapi(jwksUri: string): Contender {
  const server: oauth.AuthorizationServer = { issuer: ISSUER, jwks_uri: jwksUri }
  return {
    name: `oauth4webapi ${versionOf('oauth4webapi')}`,
    deniesReplays: false,
    prepare: ({ method, url, headers }) => new Request(`${API}${url}`, { method, headers }),
    async accepts(request) {
      try {
        await oauth.validateJwtAccessToken(server, request as Request, API, {
          requireDPoP: true,
          [oauth.allowInsecureRequests]: true,
        })
        return true
      } catch {
        return false
      }
    },
  }
}

/** RFC 9449 section 4.3, implemented only with `jose`. */
function plainJose(workload: Workload, algorithm: BenchAlgorithm): Contender {
  const keys = createLocalJWKSet(workload.jwks as { keys: JWK[] })
  const algorithms = [algorithm]

  async function check({ method, url, headers }: BenchRequest): Promise<void> {
    const [scheme, token] = String(headers.authorization).split(' ') as [string, string]
    if (scheme !== 'DPoP') throw new Error('scheme')
    const { payload } = await jwtVerify<JWTPayload & { cnf?: { jkt?: string } }>(token, keys, {
      issuer: ISSUER,
      audience: API,
      typ: 'at+jwt',
      algorithms,
    })
    const proof = await jwtVerify(headers.dpop as string, EmbeddedJWK, {
      typ: 'dpop+jwt',
      algorithms,
      maxTokenAge: 60,
    })
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token))
    if (proof.payload.ath !== Buffer.from(digest).toString('base64url')) throw new Error('ath')
    if (proof.payload.htm !== method || proof.payload.htu !== `${API}${url}`) throw new Error('htm, htu')
    if ((await calculateJwkThumbprint(proof.protectedHeader.jwk as JWK)) !== payload.cnf?.jkt)
      throw new Error('jkt')
  }

  return {
    name: `jose ${versionOf('jose')}, by hand`,
    deniesReplays: false,
    prepare: (request) => request,
    async accepts(request) {
      try {
        await check(request as BenchRequest)
        return true
      } catch {
        return false
      }
    },
  }
}

/** Throws if a contender denies a valid request or allows an invalid one. */
export async function assertCorrect(contender: Contender, workload: Workload): Promise<void> {
  const agent = workload.agent()
  const token = workload.token(agent)
  const good = () => workload.request(agent, token)
  const ask = (request: BenchRequest) => contender.accepts(contender.prepare(request))
  const withHeader = (request: BenchRequest, name: string, value: string): BenchRequest => ({
    ...request,
    headers: { ...request.headers, [name]: value },
  })
  const withWrongSignature = (text: string) =>
    text.slice(0, -10) + (text.at(-10) === 'A' ? 'B' : 'A') + text.slice(-9)

  for (let time = 0; time < 2; time++) {
    if (!(await ask(good()))) throw new Error(`${contender.name} denies a valid request`)
  }
  const other = workload.agent()
  const expired = workload.token(agent, { iat: 1_700_000_000, exp: 1_700_000_300 })
  const bad: Record<string, BenchRequest> = {
    'a token whose signature is wrong': workload.request(agent, withWrongSignature(token)),
    'a proof whose signature is wrong': withHeader(
      good(),
      'dpop',
      withWrongSignature(good().headers.dpop as string),
    ),
    'a proof for another path': { ...good(), url: '/orders/2' },
    'a proof for another method': { ...good(), method: 'POST' },
    'a proof for another token': withHeader(good(), 'authorization', `DPoP ${workload.token(agent)}`),
    'a proof by another key': workload.request(other, token),
    'a token that has expired': workload.request(agent, expired),
    'a token for another API': workload.request(
      agent,
      workload.token(agent, { aud: 'https://other.example.com' }),
    ),
    'a token of another issuer': workload.request(
      agent,
      workload.token(agent, { iss: 'https://other.example.com' }),
    ),
  }
  for (const [what, request] of Object.entries(bad)) {
    if (await ask(request)) throw new Error(`${contender.name} allows ${what}`)
  }
  const twice = good()
  await ask(twice)
  if ((await ask(twice)) === contender.deniesReplays) {
    throw new Error(`${contender.name} ${contender.deniesReplays ? 'allows a replay' : 'denies replays'}`)
  }
}
