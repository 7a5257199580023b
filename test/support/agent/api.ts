import type { IncomingMessage, ServerResponse } from 'node:http'
import * as oauth from 'oauth4webapi'
import type { TestIssuer } from './authorization-server.js'
import { json, type Listening, listen } from './http.js'

/** A request that oauth4webapi accepted. */
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
  /** All requests, accepted or not. */
  requests: { url: string; headers: IncomingMessage['headers'] }[]
  behavior: {
    nonce?: string
    /** Responds instead of the API. Returns true if it did. */
    answer?: (req: IncomingMessage, res: ServerResponse) => boolean
  }
}

/**
 * A protected API that verifies every request with oauth4webapi (RFC 9068 and RFC 9449, including `ath` and
 * `cnf`), which shares no code with the client under test.
 */
export async function startApi(issuer: TestIssuer): Promise<TestApi> {
  const accepted: Accepted[] = []
  const requests: TestApi['requests'] = []
  const behavior: TestApi['behavior'] = {}
  const as = { issuer: issuer.origin, jwks_uri: `${issuer.origin}/jwks` }
  const proofs = new Set<string>()

  const server = await listen(async (req, res, body) => {
    const origin = `http://${req.headers.host}`
    const headers = req.headers as Record<string, string>
    requests.push({ url: req.url ?? '', headers: req.headers })
    if (behavior.answer?.(req, res)) return
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
      if (behavior.nonce && nonce !== behavior.nonce) {
        const challenge = { 'www-authenticate': 'DPoP error="use_dpop_nonce", algs="ES256"' }
        return json(res, 401, { error: 'use_dpop_nonce' }, { ...challenge, 'dpop-nonce': behavior.nonce })
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
  return Object.assign(server, { accepted, requests, behavior })
}

function credentials({ authorization = '', dpop = '' }: Record<string, string>) {
  return { authorization, dpop }
}

/** A denial in the format of ajwt. */
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
