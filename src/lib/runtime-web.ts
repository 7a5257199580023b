import { hmac } from '@noble/hashes/hmac.js'
import { sha256 as hash } from '@noble/hashes/sha2.js'

// `#runtime` without Node's modules, for Workers, edge runtimes and browsers. Same exports as
// runtime-node.ts.

/** Whether a promise of one request must not be awaited by another, as in Workers. */
export const hasIsolatedRequests: boolean = true

/** As in runtime-node.ts: no text that is read is longer. */
const maxLength = 16 * 1024

/** Nothing to count: no runtime with these exports has a thread pool for signatures. */
export function countRequestInTick(): void {}

export function isTickCrowded(): boolean {
  return false
}

/** Decodes base64url without a check of its spelling. */
export function fromBase64url(text: string): Uint8Array {
  return toBytes(decode(text) ?? '')
}

export function toBase64url(bytes: Uint8Array): string {
  return encode(String.fromCharCode(...bytes))
}

/**
 * Decodes canonical base64url to a Latin-1 string, one character per byte. Undefined for another spelling,
 * and for more than 16 KiB.
 */
export function decodeBase64urlText(text: string): string | undefined {
  const bytes = text.length > 2 * maxLength ? undefined : decode(text)
  return bytes !== undefined && bytes.length <= maxLength && encode(bytes) === text ? bytes : undefined
}

/** The text of UTF-8 bytes, given one character per byte. Undefined where they are invalid. */
export function decodeUtf8(bytes: string): string | undefined {
  if (/^[\0-\x7f]*$/.test(bytes)) return bytes
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(toBytes(bytes))
  } catch {
    return undefined
  }
}

/** Copies ASCII: a slice would keep the text that it was cut from in memory. */
export function copyAscii(text: string): string {
  return new TextDecoder().decode(new TextEncoder().encode(text))
}

/** SHA-256 of the text's UTF-8 bytes, base64url without padding: always 43 characters. */
export function sha256(text: string): string {
  // Web Crypto has digests as promises only: thumbprints are compared where nothing may wait.
  return toBase64url(hash(utf8(text)))
}

/** SHA-256 of the text's UTF-8 bytes, in lower-case hexadecimal digits. */
export function sha256Hex(text: string): string {
  return Array.from(hash(utf8(text)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** HMAC with SHA-256 over the text's UTF-8 bytes, base64url. */
export function hmacSha256(secret: string | Uint8Array, text: string): string {
  return toBase64url(hmac(hash, typeof secret === 'string' ? utf8(secret) : secret, utf8(text)))
}

/** Compares two texts, in constant time where they have one length. */
export function isSameSecret(one: string, other: string): boolean {
  if (one.length !== other.length) return false
  let difference = 0
  for (let at = 0; at < one.length; at++) difference |= one.charCodeAt(at) ^ other.charCodeAt(at)
  return difference === 0
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function toBytes(latin1: string): Uint8Array {
  return Uint8Array.from(latin1, (character) => character.charCodeAt(0))
}

/** Undefined for a character outside of the alphabet. */
function decode(text: string): string | undefined {
  try {
    return atob(text.replaceAll('-', '+').replaceAll('_', '/'))
  } catch {
    return undefined
  }
}

function encode(latin1: string): string {
  return btoa(latin1).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}
