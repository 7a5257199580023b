import { SignJWT } from 'jose'
import { LRUCache } from 'lru-cache'
import { sha256base64url } from './bytes.js'
import type { AgentKey } from './keys.js'

export interface ProofInput {
  method: string
  url: URL
  /** The access token of the request; none at the token endpoint. */
  token?: string
  nonce?: string | undefined
}

/** A DPoP proof for one request (RFC 9449 section 4.2); `now` in milliseconds. */
export async function signProof(
  key: AgentKey,
  { method, url, token, nonce }: ProofInput,
  now: number,
): Promise<string> {
  const claims = {
    jti: crypto.randomUUID(),
    htm: method,
    // Without query and fragment (RFC 9449 section 4.2): a proof may be logged, a query may contain a secret.
    htu: `${url.origin}${url.pathname}`,
    iat: Math.floor(now / 1000),
    ...(token ? { ath: await sha256base64url(token) } : {}),
    ...(nonce ? { nonce } : {}),
  }
  return new SignJWT(claims)
    .setProtectedHeader({ typ: 'dpop+jwt', alg: key.alg, jwk: key.jwk })
    .sign(key.privateKey)
}

/** The newest nonce of each server (RFC 9449 sections 8 and 9), by origin. */
export interface NonceCache {
  get(url: URL): string | undefined
  /** Stores the nonce of a response and returns it. */
  remember(url: URL, response: Response): string | undefined
}

/** Bounded: an agent that follows links calls any number of origins. */
export function createNonceCache(): NonceCache {
  const nonces = new LRUCache<string, string>({ max: 256 })
  return {
    get: (url) => nonces.get(url.origin),
    remember(url, response) {
      const nonce = response.headers.get('dpop-nonce')
      // The grammar of RFC 9449 section 8.1. The length keeps a proof below the verifier's limit.
      if (!nonce || !/^[\x21\x23-\x5b\x5d-\x7e]{1,512}$/.test(nonce)) return undefined
      nonces.set(url.origin, nonce)
      return nonce
    },
  }
}
