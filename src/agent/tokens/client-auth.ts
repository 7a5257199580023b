import { type CryptoKey, SignJWT } from 'jose'
import { parseText } from '../http/grammar.js'
import { signingAlgorithm } from '../keys/keys.js'
import type { AuthorizationServer } from './server.js'

/** How the OAuth client of the agent authenticates at the token endpoint. */
export type ClientAuth =
  | { method: 'none'; clientId: string }
  | { method: 'client_secret_basic' | 'client_secret_post'; clientId: string; clientSecret: string }
  | {
      method: 'private_key_jwt'
      clientId: string
      /** A non-extractable key. It must not be the key of an agent. */
      key: CryptoKey
      kid?: string
      /** Default: the option `issuer`, or else the URL of the token endpoint. */
      audience?: string
    }

/** Adds client authentication to one token request. Returns the secrets that no error message may contain. */
export type Authenticate = (request: UnauthenticatedRequest) => Promise<string[]>

interface UnauthenticatedRequest {
  headers: Headers
  body: URLSearchParams
  now: number
  server: AuthorizationServer
}

/**
 * @returns a function to call for each request, since a client assertion is valid for one request
 * @throws TypeError naming the member that is wrong
 */
export function clientAuthentication(auth: ClientAuth): Authenticate {
  const clientId = required(auth?.clientId, 'clientAuth.clientId')
  switch (auth.method) {
    case 'none':
      return async ({ body }) => {
        body.set('client_id', clientId)
        return []
      }
    case 'client_secret_post': {
      const secret = required(auth.clientSecret, 'clientAuth.clientSecret')
      return async ({ body }) => {
        body.set('client_id', clientId)
        body.set('client_secret', secret)
        return [secret]
      }
    }
    case 'client_secret_basic': {
      const secret = required(auth.clientSecret, 'clientAuth.clientSecret')
      // RFC 6749 section 2.3.1: form-encode first, so that a colon in the id is not taken for the separator.
      const credentials = btoa(`${formEncode(clientId)}:${formEncode(secret)}`)
      return async ({ headers }) => {
        headers.set('authorization', `Basic ${credentials}`)
        return [secret, credentials]
      }
    }
    case 'private_key_jwt': {
      const { key, kid, audience } = auth
      const alg = signingAlgorithm(key, 'clientAuth.key')
      return async ({ body, now, server }) => {
        const issuedAt = Math.floor(now / 1000)
        // RFC 7523 section 3. It is used at once, so one minute is enough.
        const assertion = await new SignJWT({ jti: crypto.randomUUID() })
          .setProtectedHeader({ alg, ...(kid ? { kid } : {}) })
          .setIssuer(clientId)
          .setSubject(clientId)
          // Not an endpoint from metadata: another server's metadata could name it.
          .setAudience(audience ?? server.issuer ?? server.tokenEndpoint.href)
          .setIssuedAt(issuedAt)
          .setExpirationTime(issuedAt + 60)
          .sign(key)
        body.set('client_id', clientId)
        body.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
        body.set('client_assertion', assertion)
        return [assertion]
      }
    }
    default:
      throw new TypeError(
        'clientAuth.method must be none, client_secret_basic, client_secret_post or private_key_jwt',
      )
  }
}

function required(value: unknown, path: string): string {
  const parsed = parseText(value, path)
  if (parsed === '') throw new TypeError(`${path} must not be empty`)
  return parsed
}

function formEncode(value: string): string {
  return new URLSearchParams([['', value]]).toString().slice(1)
}
