import { SignJWT } from 'jose'
import type { DpopProofClaims } from '../../protocol/claims.js'
import { dpopProofType } from '../../protocol/token-types.js'
import { BoundedMap } from '../bounded-map.js'
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
  const ath = token ? await sha256base64url(token) : undefined
  // Without query and fragment (RFC 9449 section 4.2): a proof may be logged, a query may contain a secret.
  const htu = `${url.origin}${url.pathname}`
  return new SignJWT({ ...proofClaims({ method, htu, ath, nonce: nonce || undefined }, now) })
    .setProtectedHeader({ typ: dpopProofType, alg: key.alg, jwk: key.jwk })
    .sign(key.privateKey)
}

/** The payload of a DPoP proof; `now` in milliseconds. */
export function proofClaims(
  call: { method: string; htu: string; ath: string | undefined; nonce: string | undefined },
  now: number,
): DpopProofClaims {
  const { method, htu, ath, nonce } = call
  return { jti: crypto.randomUUID(), htm: method, htu, iat: Math.floor(now / 1000), ath, nonce }
}

/** The newest nonce of each server (RFC 9449 sections 8 and 9), by origin. */
export interface NonceCache {
  get(url: URL): string | undefined
  /** Stores the nonce of a response and returns it. */
  remember(url: URL, response: Response): string | undefined
}

/** Bounded: an agent that follows links calls any number of origins. */
export function createNonceCache(): NonceCache {
  const nonces = new BoundedMap<string, string>(256)
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
