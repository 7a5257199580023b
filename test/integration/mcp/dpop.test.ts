import { once } from 'node:events'
import { createServer, request as send } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mapSegment } from '../../../fixtures/jws-spellings.js'
import {
  AUDIENCE,
  agentKeys,
  createKit,
  generateKey,
  ISSUER,
  issuerJwks,
  type JwsOverrides,
  type ProofOverrides,
  privateJwk,
  signBytes,
} from '../../../fixtures/kit.js'
import type { Policy } from '../../../src/index.js'
import { needs } from '../../support/installed.js'
import type { McpBackend } from '../../support/mcp/contract.js'
import { loadMcpPackages } from '../../support/mcp/packages.js'
import { type McpFramework, mcpApp } from '../../support/mcp/sdk-apps.js'

// What the draft of the DPoP profile for MCP (SEP-1932) asks of a server. The published conformance suite has
// no scenario for it. The clauses are those of the draft, and of RFC 9449 where the draft refers to it.

const packages = await loadMcpPackages()
const HTU = `${AUDIENCE}/mcp`

interface Row {
  readonly title: string
  readonly clause: string
  readonly token?: JwsOverrides
  /** Overrides of the honest proof, its whole text, or null for none. */
  readonly proof?: ProofOverrides | string | null
  /** Changes the finished proof. */
  readonly change?: (proof: string) => string
  readonly scheme?: string
  /** A second field. */
  readonly second?: 'same' | 'other'
  /** Default: `invalid_dpop_proof`. */
  readonly error?: string
}

const kit = createKit(Date.now())
const other = generateKey('ES256')
const hmac = (alg: string): ProofOverrides => ({
  header: { alg },
  signature: (_, input) => signBytes(`HS${alg.slice(2)}`, Buffer.from('secret'), input),
})
const without = (claim: string): ProofOverrides => ({ claims: { [claim]: undefined } })

const VALIDATE = 'RFC 9449 section 4.3'
const WINDOW = 'SEP-1932, iat window'
const ASYMMETRIC = 'SEP-1932, asymmetric algorithms only'

const refused: readonly Row[] = [
  { title: 'no proof', clause: 'RFC 9449 section 7.1', proof: null },
  { title: 'a proof that is not a JWT', clause: VALIDATE, proof: 'proof' },
  { title: 'two fields with one proof', clause: VALIDATE, second: 'same' },
  { title: 'two fields with two proofs', clause: VALIDATE, second: 'other' },
  { title: 'two proofs in one field', clause: VALIDATE, change: (proof) => `${proof}, ${kit.proof()}` },
  { title: 'a tampered signature', clause: VALIDATE, change: (proof) => mapSegment(proof, 2, flip) },
  { title: 'a tampered payload', clause: VALIDATE, change: (proof) => mapSegment(proof, 1, flip) },
  { title: 'no signature', clause: VALIDATE, change: (proof) => mapSegment(proof, 2, () => '') },
  { title: 'typ JWT', clause: VALIDATE, proof: { header: { typ: 'JWT' } } },
  { title: 'no typ', clause: VALIDATE, proof: { header: { typ: undefined } } },
  { title: 'alg none, signed', clause: ASYMMETRIC, proof: { header: { alg: 'none' } } },
  {
    title: 'alg none, without a signature',
    clause: ASYMMETRIC,
    proof: { header: { alg: 'none' }, signature: () => new Uint8Array() },
  },
  { title: 'no alg', clause: ASYMMETRIC, proof: { header: { alg: undefined } } },
  { title: 'HS256', clause: ASYMMETRIC, proof: hmac('HS256') },
  { title: 'HS512', clause: ASYMMETRIC, proof: hmac('HS512') },
  { title: 'no jwk', clause: VALIDATE, proof: { header: { jwk: undefined } } },
  {
    title: 'a jwk of another key than the one that signed',
    clause: VALIDATE,
    proof: { header: { jwk: other.jwk } },
    error: 'invalid_token',
  },
  {
    title: 'a symmetric jwk',
    clause: ASYMMETRIC,
    proof: { ...hmac('HS256'), header: { alg: 'HS256', jwk: { kty: 'oct', k: 'c2VjcmV0' } } },
  },
  {
    title: 'a private key in jwk',
    clause: VALIDATE,
    proof: { header: { jwk: privateJwk(agentKeys.seven) } },
  },
  {
    title: 'another key than cnf.jkt, honestly signed',
    clause: 'RFC 9449 section 7.1',
    proof: { key: other },
    error: 'invalid_token',
  },
  { title: 'no htm', clause: VALIDATE, proof: without('htm') },
  { title: 'htm GET', clause: VALIDATE, proof: { method: 'GET' } },
  { title: 'htm in another letter case', clause: VALIDATE, proof: { method: 'post' } },
  { title: 'no htu', clause: VALIDATE, proof: without('htu') },
  { title: 'htu of another server', clause: VALIDATE, proof: { htu: 'https://mcp.attacker.example/mcp' } },
  { title: 'htu of another path', clause: VALIDATE, proof: { htu: `${AUDIENCE}/mcp2` } },
  { title: 'htu with http', clause: VALIDATE, proof: { htu: HTU.replace('https', 'http') } },
  { title: 'no iat', clause: VALIDATE, proof: without('iat') },
  { title: 'iat as a string', clause: VALIDATE, proof: { claims: { iat: String(kit.seconds) } } },
  { title: 'iat 301 seconds ago', clause: WINDOW, proof: { claims: { iat: kit.seconds - 301 } } },
  { title: 'iat 301 seconds ahead', clause: WINDOW, proof: { claims: { iat: kit.seconds + 301 } } },
  { title: 'no jti', clause: VALIDATE, proof: without('jti') },
  { title: 'an empty jti', clause: VALIDATE, proof: { claims: { jti: '' } } },
  { title: 'no ath', clause: VALIDATE, proof: { token: null } },
  { title: 'ath of another token', clause: VALIDATE, proof: { token: 'another' } },
  {
    title: 'a bound token as Bearer, with its proof',
    clause: 'RFC 9449 section 7.2',
    scheme: 'Bearer',
    error: 'invalid_token',
  },
  {
    title: 'a bound token as Bearer, without a proof',
    clause: 'RFC 9449 section 7.2',
    scheme: 'Bearer',
    proof: null,
    error: 'invalid_token',
  },
  {
    title: 'a token for another server',
    clause: 'SEP-1932, audience',
    token: { claims: { aud: 'https://other.example.com' } },
    error: 'invalid_token',
  },
  {
    title: 'a token without cnf, with a proof',
    clause: 'RFC 9449 section 6',
    token: { claims: { cnf: undefined } },
    error: 'invalid_token',
  },
]

/** Another character of the alphabet at the third place: its bits are all part of the value. */
const flip = (segment: string) => segment.slice(0, 2) + (segment[2] === 'A' ? 'B' : 'A') + segment.slice(3)

interface Answer {
  readonly status: number
  readonly challenge: string
  readonly nonce: string | undefined
  readonly body: string
}

describe.skipIf(packages === undefined)(`DPoP at an MCP server${needs('mcp')}`, () => {
  for (const framework of ['Express', 'Koa', 'Hono'] as const) {
    describe(framework, () => {
      const served = serve(framework, {})

      it('a valid proof is accepted', async () => {
        const answer = await served.call({ title: '', clause: VALIDATE })
        expect([answer.status, served.ran()]).toEqual([200, ['read']])
        expect(answer.body).toContain('order')
      })

      it('a proof with the query in the URL of the request is accepted', async () => {
        const answer = await served.call({ title: '', clause: VALIDATE }, '/mcp?client=1')
        expect([answer.status, served.ran()]).toEqual([200, ['read']])
      })

      it('a proof is accepted once', async () => {
        const proof = kit.proof({ method: 'POST', htu: HTU, token: served.token })
        const row = { title: '', clause: 'RFC 9449 section 11.1', proof }
        expect((await served.call(row)).status).toBe(200)
        const replayed = await served.call(row)
        expect([replayed.status, served.ran()]).toEqual([401, ['read']])
        expect(replayed.challenge).toContain('error="invalid_dpop_proof"')
      })

      for (const row of refused)
        it(`refused: ${row.title} (${row.clause})`, async () => {
          const { status, challenge } = await served.call(row)
          expect([status, served.ran()]).toEqual([401, []])
          expect(challenge).toMatch(/(^|, )DPoP /)
          expect(challenge).toContain(`error="${row.error ?? 'invalid_dpop_proof'}"`)
          expect(challenge).toMatch(/algs="[^"]*ES256/)
          expect(challenge).not.toMatch(/algs="[^"]*(HS|none)/)
        })
    })

    describe(`${framework}, which also takes Bearer tokens`, () => {
      const issuer = { url: ISSUER, jwks: issuerJwks(), profile: 'oauth' } as const
      const served = serve(framework, { issuer, proof: { required: false } })
      const unbound = { claims: { cnf: undefined } }

      it('an unbound token as Bearer and a bound one with its proof are accepted', async () => {
        const row = {
          title: '',
          clause: 'RFC 9449 section 7.2',
          token: unbound,
          scheme: 'Bearer',
          proof: null,
        }
        expect((await served.call(row)).status).toBe(200)
        expect((await served.call({ title: '', clause: VALIDATE })).status).toBe(200)
        expect(served.ran()).toEqual(['read', 'read'])
      })

      for (const row of refused.filter(({ scheme }) => scheme === 'Bearer'))
        it(`refused: ${row.title} (${row.clause})`, async () => {
          const { status, challenge } = await served.call(row)
          expect([status, served.ran()]).toEqual([401, []])
          expect(challenge).toMatch(/^Bearer error="invalid_token".*, DPoP error="invalid_token"/)
        })
    })

    describe(`${framework}, nonces required (RFC 9449 section 9)`, () => {
      const served = serve(framework, { proof: { nonce: 'required' } })
      const withNonce = (nonce?: string): Row => ({ title: '', clause: '', proof: { claims: { nonce } } })

      it('a proof without a nonce is refused with one, which is accepted', async () => {
        const first = await served.call(withNonce())
        expect([first.status, served.ran()]).toEqual([401, []])
        expect(first.challenge).toMatch(/(^|, )DPoP [^,]*error="use_dpop_nonce"/)
        expect(first.nonce).toMatch(/^\S+$/)
        expect((await served.call(withNonce(first.nonce))).status).toBe(200)
        expect(served.ran()).toEqual(['read'])
      })

      it('a nonce of another server is refused with a new one', async () => {
        const answer = await served.call(withNonce('eyJhbGciOiJub25lIn0'))
        expect([answer.status, served.ran()]).toEqual([401, []])
        expect(answer.challenge).toContain('error="use_dpop_nonce"')
        expect((await served.call(withNonce(answer.nonce))).status).toBe(200)
      })
    })
  }
})

/** A server for the tests of one `describe`. */
function serve(framework: McpFramework, policy: Partial<Policy>) {
  const http = createServer()
  const token = kit.token()
  let backend: McpBackend | undefined
  let seen = 0

  beforeAll(async () => {
    if (packages === undefined) return
    backend = packages.servers.modern.start()
    const spec = {
      policy: {
        issuer: { url: ISSUER, jwks: issuerJwks() },
        audience: AUDIENCE,
        routes: { '* /mcp': 'authenticated' },
        ...policy,
      } as const,
      rules: { tools: { read: {} } },
      backend,
    }
    http.on('request', mcpApp(framework, spec, packages.apps, 2))
    await once(http.listen(0, '127.0.0.1'), 'listening')
  })
  afterAll(async () => {
    http.close()
    http.closeAllConnections()
    await backend?.close()
  })

  const message = {
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { name: 'read', arguments: { order: '7' } },
  }

  return {
    token,
    /** Names of the tools that ran since the last time. */
    ran(): readonly string[] {
      const names = backend?.ran.slice(seen) ?? []
      seen += names.length
      return names
    },
    async call(row: Row, path = '/mcp'): Promise<Answer> {
      kit.now = Date.now()
      const presented = row.token === undefined ? token : kit.token(row.token)
      const make = () =>
        typeof row.proof === 'string'
          ? row.proof
          : kit.proof({ method: 'POST', htu: HTU, token: presented, ...row.proof })
      const fields = ['authorization', `${row.scheme ?? 'DPoP'} ${presented}`]
      if (row.proof !== null) {
        const proof = row.change?.(make()) ?? make()
        fields.push('dpop', proof)
        if (row.second !== undefined) fields.push('dpop', row.second === 'same' ? proof : make())
      }
      const { port } = http.address() as AddressInfo
      const request = send({
        port,
        host: '127.0.0.1',
        path,
        method: 'POST',
        headers: [
          ...['host', `127.0.0.1:${port}`, 'content-type', 'application/json'],
          ...['accept', 'application/json, text/event-stream', 'mcp-protocol-version', '2025-11-25'],
          ...fields,
        ],
      })
      const [response] = await once(request.end(JSON.stringify(message)), 'response')
      return {
        status: response.statusCode,
        challenge: response.headers['www-authenticate'] ?? '',
        nonce: response.headers['dpop-nonce'],
        body: await text(response),
      }
    },
  }
}
