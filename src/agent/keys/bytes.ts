import { base64url } from 'jose'

const encoder = new TextEncoder()

export function utf8(value: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(value)
}

export async function sha256(value: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', utf8(value)))
}

/** Base64url SHA-256 of the UTF-8 bytes, as in `ath`, `prev` and `intent_hash`. */
export async function sha256base64url(value: string): Promise<string> {
  return base64url.encode(await sha256(value))
}
