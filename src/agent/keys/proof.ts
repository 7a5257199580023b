import { SignJWT } from 'jose'
import { LRUCache } from 'lru-cache'
import { sha256base64url } from './bytes.js'
import type { AgentKey } from './keys.js'

export interface ProofOf {
  method: string
  url: URL
  /** The access token that the proof goes with; none at the token endpoint. */
  token?: string
  nonce?: string | undefined
}

/** A DPoP proof for one request (RFC 9449 section 4.2); `now` in milliseconds. */
export async function signProof(
  key: AgentKey,
  { method, url, token, nonce }: ProofOf,
  now: number,
): Promise<string> {
  const claims = {
    jti: crypto.randomUUID(),
    htm: method,
    // Without query and fragment: a secret in a query must not end up in a proof that others may log.
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
export interface NonceJar {
  of(url: URL): string | undefined
  /** Takes over the nonce of a response, and returns it. */
  learn(url: URL, response: Response): string | undefined
}

/** Bounded, since an agent that follows links meets any number of origins. */
export function createNonceJar(): NonceJar {
  const nonces = new LRUCache<string, string>({ max: 256 })
  return {
    of: (url) => nonces.get(url.origin),
    learn(url, response) {
      const nonce = response.headers.get('dpop-nonce')
      // The grammar of RFC 9449 section 8.1, and a length that keeps a proof under its limit.
      if (!nonce || !/^[\x21\x23-\x5b\x5d-\x7e]{1,512}$/.test(nonce)) return undefined
      nonces.set(url.origin, nonce)
      return nonce
    },
  }
}
