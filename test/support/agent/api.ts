import type { IncomingMessage, ServerResponse } from 'node:http'
import * as oauth from 'oauth4webapi'
import type { TestIssuer } from './authorization-server.js'
import { json, type Listening, listen } from './http.js'

/** One request that got through, by oauth4webapi's judgement. */
interface Accepted {
  method: string
  url: string
  body: string
  token: string
  proof: string
  claims: Record<string, unknown>
}

export interface TestApi extends Listening {
  accepted: Accepted[]
  /** All requests, whatever became of them. */
  hits: { url: string; headers: IncomingMessage['headers'] }[]
  behave: {
    nonce?: string
    /** Answers instead of the API, by path; true where it did. */
    answer?: (req: IncomingMessage, res: ServerResponse) => boolean
  }
}

/**
 * A protected API whose every request is verified by oauth4webapi (RFC 9068 and RFC 9449, `ath` and `cnf`
 * included), which shares no code with the client under test.
 */
export async function startApi(issuer: TestIssuer): Promise<TestApi> {
  const accepted: Accepted[] = []
  const hits: TestApi['hits'] = []
  const behave: TestApi['behave'] = {}
  const as = { issuer: issuer.origin, jwks_uri: `${issuer.origin}/jwks` }
  const proofs = new Set<string>()

  const server = await listen(async (req, res, body) => {
    const origin = `http://${req.headers.host}`
    const headers = req.headers as Record<string, string>
    hits.push({ url: req.url ?? '', headers: req.headers })
    if (behave.answer?.(req, res)) return
    const request = new Request(`${origin}${req.url}`, {
      method: req.method ?? '',
      headers: credentials(headers),
    })
    try {
      const claims = await oauth.validateJwtAccessToken(as, request, origin, {
        [oauth.allowInsecureRequests]: true,
        requireDPoP: true,
        signingAlgorithms: ['ES256', 'Ed25519'],
      })
      const proof = headers.dpop ?? ''
      if (proofs.has(proof)) throw new Error('proof replayed')
      proofs.add(proof)
      const nonce = JSON.parse(Buffer.from(proof.split('.')[1] ?? '', 'base64url').toString()).nonce
      if (behave.nonce && nonce !== behave.nonce) {
        const challenge = { 'www-authenticate': 'DPoP error="use_dpop_nonce", algs="ES256"' }
        return json(res, 401, { error: 'use_dpop_nonce' }, { ...challenge, 'dpop-nonce': behave.nonce })
      }
      const token = headers.authorization?.slice('DPoP '.length) ?? ''
      accepted.push({
        method: req.method ?? '',
        url: req.url ?? '',
        body,
        token,
        proof,
        claims: claims as unknown as Record<string, unknown>,
      })
      json(res, 200, { ok: true })
    } catch (error) {
      json(res, 401, { message: String(error) }, { 'www-authenticate': 'DPoP error="invalid_token"' })
    }
  })
  return Object.assign(server, { accepted, hits, behave })
}

function credentials({ authorization = '', dpop = '' }: Record<string, string>) {
  return { authorization, dpop }
}

/** A denial as ajwt sends it. */
export function deny(
  res: ServerResponse,
  status: number,
  code: string,
  extra: Record<string, string> = {},
): true {
  const error = { 400: 'invalid_request', 401: 'invalid_token', 403: 'access_denied' }[status]
  const challenge = status === 401 || status === 403 ? { 'www-authenticate': `DPoP error="${error}"` } : {}
  const body = { ...(error ? { error } : {}), error_description: `Denied: ${code}`, code }
  json(res, status, body, { 'cache-control': 'no-store', ...challenge, ...extra })
  return true
}
