import { type CryptoKey, SignJWT } from 'jose'
import { text } from '../http/grammar.js'
import { signingAlgorithm } from '../keys/keys.js'

/** How the OAuth client that runs the agent authenticates at the token endpoint. */
export type ClientAuth =
  | { method: 'none'; clientId: string }
  | { method: 'client_secret_basic' | 'client_secret_post'; clientId: string; clientSecret: string }
  | {
      method: 'private_key_jwt'
      clientId: string
      /** Non-extractable; a key of its own, not an agent's. */
      key: CryptoKey
      kid?: string
      /** Default: the token endpoint's URL. Some servers want their issuer identifier. */
      audience?: string
    }

/** Adds the client's authentication to one token request, and tells what of it no error may repeat. */
export type Authenticate = (headers: Headers, body: URLSearchParams, now: number) => Promise<string[]>

/**
 * @returns a function to be called anew for each request, since a client assertion is good for one
 * @throws TypeError naming the member that is wrong
 */
export function clientAuthentication(auth: ClientAuth, tokenEndpoint: URL): Authenticate {
  const clientId = required(auth?.clientId, 'clientAuth.clientId')
  switch (auth.method) {
    case 'none':
      return async (_, body) => {
        body.set('client_id', clientId)
        return []
      }
    case 'client_secret_post': {
      const secret = required(auth.clientSecret, 'clientAuth.clientSecret')
      return async (_, body) => {
        body.set('client_id', clientId)
        body.set('client_secret', secret)
        return [secret]
      }
    }
    case 'client_secret_basic': {
      const secret = required(auth.clientSecret, 'clientAuth.clientSecret')
      // RFC 6749 section 2.3.1: form-encoded first, so that a colon in the id cannot end it.
      const credentials = btoa(`${formEncode(clientId)}:${formEncode(secret)}`)
      return async (headers) => {
        headers.set('authorization', `Basic ${credentials}`)
        return [secret, credentials]
      }
    }
    case 'private_key_jwt': {
      const { key, kid, audience = tokenEndpoint.href } = auth
      const alg = signingAlgorithm(key, 'clientAuth.key')
      return async (_, body, now) => {
        const issuedAt = Math.floor(now / 1000)
        // RFC 7523 section 3; a minute, since it is used at once.
        const assertion = await new SignJWT({ jti: crypto.randomUUID() })
          .setProtectedHeader({ alg, ...(kid ? { kid } : {}) })
          .setIssuer(clientId)
          .setSubject(clientId)
          .setAudience(audience)
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
      throw new TypeError('clientAuth.method is not supported')
  }
}

function required(value: unknown, path: string): string {
  if (text(value, path) === '') throw new TypeError(`${path} must not be empty`)
  return value as string
}

function formEncode(value: string): string {
  return new URLSearchParams([['', value]]).toString().slice(1)
}
