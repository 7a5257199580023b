import { createHash } from 'node:crypto'

/** SHA-256 of the text's UTF-8 bytes, base64url without padding: always 43 characters. */
export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
