import { createHash, generateKeyPairSync, type JsonWebKey, type KeyObject, sign } from 'node:crypto'

// node:crypto and not Web Crypto, because it signs synchronously: `headers()` needs no `await`.

/** An ES256 key pair. */
export interface TestKey {
  readonly privateKey: KeyObject
  /** The required public members only. */
  readonly jwk: JsonWebKey
  /** RFC 7638 thumbprint, base64url SHA-256. */
  readonly thumbprint: string
}

export function generateKey(): TestKey {
  // Generated as a JWK: in Node 20, exporting a key object can deadlock with the garbage collection of the
  // job that generated it.
  const asJwk = { publicKeyEncoding: { format: 'jwk' } }
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256', ...asJwk })
  const { crv, kty, x, y }: JsonWebKey = Object(publicKey)
  // RFC 7638 section 3.2: required members in alphabetical order.
  return {
    privateKey,
    jwk: { kty, crv, x, y } as JsonWebKey,
    thumbprint: base64urlHash(JSON.stringify({ crv, kty, x, y })),
  }
}

export function base64urlHash(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

/** The hash of draft-goswami-agentic-jwt-01: 16 hex digits of SHA-256 over ids joined by `|`. */
export function sequenceHash(ids: readonly string[]): string {
  return createHash('sha256').update(ids.join('|')).digest('hex').slice(0, 16)
}

type Members = Readonly<Record<string, unknown>>

/** A compact JWS with ES256. Omits undefined members. */
export function signJws(header: Members, payload: Members, key: TestKey): string {
  const input = signingInput({ alg: 'ES256', ...header }, payload)
  const options = { key: key.privateKey, dsaEncoding: 'ieee-p1363' } as const
  return `${input}.${sign('sha256', Buffer.from(input), options).toString('base64url')}`
}

export function signingInput(header: Members, payload: Members): string {
  return [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
}
