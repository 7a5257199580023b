import { Buffer, isUtf8 } from 'node:buffer'
import crypto from 'node:crypto'

// `#runtime` on Node, Bun and Deno. src/lib/runtime-web.ts has the same exports for every other runtime.

export { countRequestInTick, isTickCrowded } from './event-loop-tick.js'

/** Whether a promise of one request must not be awaited by another, as in Workers. */
export const hasIsolatedRequests: boolean = false

/** The longest token, in bytes. */
const maxLength = 16 * 1024

/** Decodes base64url without a check of its spelling. */
export function fromBase64url(text: string): Uint8Array {
  return Buffer.from(text, 'base64url')
}

export function toBase64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url')
}

/**
 * Decodes canonical base64url to a Latin-1 string, one character per byte. Undefined for another spelling,
 * and for more than 16 KiB.
 */
export function decodeBase64urlText(text: string): string | undefined {
  if (text.length > 2 * maxLength) return undefined
  const bytes = Buffer.from(text, 'base64url')
  return bytes.length <= maxLength && bytes.toString('base64url') === text
    ? bytes.toString('latin1')
    : undefined
}

/** The text of UTF-8 bytes, given one character per byte. Undefined where they are invalid. */
export function decodeUtf8(bytes: string): string | undefined {
  // Text with a character beyond ASCII is longer in UTF-8.
  if (Buffer.byteLength(bytes) === bytes.length) return bytes
  const buffer = Buffer.from(bytes, 'latin1')
  return isUtf8(buffer) ? buffer.toString('utf8') : undefined
}

/** Copies ASCII: a slice would keep the text that it was cut from in memory. */
export function copyAscii(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}

/** SHA-256 of the text's UTF-8 bytes, base64url without padding: always 43 characters. */
export function sha256(text: string): string {
  return hash(text, 'base64url')
}

/** SHA-256 of the text's UTF-8 bytes, in lower-case hexadecimal digits. */
export function sha256Hex(text: string): string {
  return hash(text, 'hex')
}

/** Node 20.12 and later hash in one call. Every request does this. */
const hash: (text: string, encoding: 'base64url' | 'hex') => string =
  typeof crypto.hash === 'function'
    ? (text, encoding) => crypto.hash('sha256', text, encoding)
    : (text, encoding) => crypto.createHash('sha256').update(text).digest(encoding)

/** HMAC with SHA-256 over the text's UTF-8 bytes, base64url. */
export function hmacSha256(secret: string | Uint8Array, text: string): string {
  return crypto.createHmac('sha256', secret).update(text).digest('base64url')
}

/** Compares two texts, in constant time where they have one length. */
export function isSameSecret(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)]
  return left.length === right.length && crypto.timingSafeEqual(left, right)
}
