import { base64url } from 'jose'
import { sha256, utf8 } from '../code/primitives.js'

export { sha256, utf8 }

/** Base64url SHA-256 of the UTF-8 bytes, as in `ath`, `prev` and `intent_hash`. */
export async function sha256base64url(value: string): Promise<string> {
  return base64url.encode(await sha256(value))
}
