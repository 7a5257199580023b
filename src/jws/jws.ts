import { Buffer } from 'node:buffer'
import { verify as verifySignature } from 'node:crypto'
import { isObject } from '../lib/own.js'
import type { Algorithm } from './algorithms.js'
import { decodeBase64urlText, isExact } from './base64url.js'
import type { PublicKey } from './jwk.js'
import { type JsonObject, parseJsonObject } from './strict-json.js'

/** A well-formed compact JWS. Its signature is not verified yet. */
export interface UnverifiedJws {
  readonly header: JoseHeader
  readonly payload: Record<string, unknown>
  /** How many values the payload holds. */
  readonly valueCount: number
  /** Canonical base64url. */
  readonly signature: string
  /** What the signature is over. */
  readonly input: string
}

/** The JOSE header members that every kind of JWS has. */
export interface JoseHeader {
  readonly alg: string
  /** Lower case, without a leading "application/" (RFC 7515 section 4.1.9). */
  readonly typ: string | undefined
  readonly members: Record<string, unknown>
}

/** The encoded segments of a compact JWS. */
export interface Segments {
  readonly header: string
  readonly payload: string
  readonly signature: string
}

/**
 * Splits a compact JWS (RFC 7515 section 7.1). Undefined for more than `maxLength` characters or another number of
 * segments. An empty signature is kept, so that `alg: none` is refused by name.
 */
export function splitCompact(text: string, maxLength: number): Segments | undefined {
  // The length first: all other work is proportional to it.
  if (text.length > maxLength) return undefined
  const first = text.indexOf('.')
  const second = text.indexOf('.', first + 1)
  if (first < 1 || second <= first + 1 || text.indexOf('.', second + 1) >= 0) return undefined
  return {
    header: text.slice(0, first),
    payload: text.slice(first + 1, second),
    signature: text.slice(second + 1),
  }
}

/** The signing input: everything before the second dot (RFC 7515 section 5.2). */
export function inputOf(text: string, { header, payload }: Segments): string {
  return text.slice(0, header.length + 1 + payload.length)
}

/** Reads a compact JWS without verifying it. Undefined where it is malformed. */
export function readCompact(text: string, maxLength: number): UnverifiedJws | undefined {
  const segments = splitCompact(text, maxLength)
  if (segments === undefined) return undefined
  const header = readHeader(segments.header)
  if (header === undefined) return undefined
  const payload = decodeObject(segments.payload)
  const { signature } = segments
  if (payload === undefined || !isExact(signature)) return undefined
  const { members, valueCount } = payload
  return { header, payload: members, valueCount, signature, input: inputOf(text, segments) }
}

/** The JSON object in a segment, or undefined. */
export function decodeObject(segment: string): JsonObject | undefined {
  const bytes = decodeBase64urlText(segment)
  return bytes === undefined ? undefined : parseJsonObject(bytes)
}

/**
 * Reads a JOSE header. Undefined where it is malformed, or has `crit` or `b64`: no extension is supported, and a JWT has
 * no unencoded payload (RFC 7515 section 4.1.11, RFC 7797 section 7).
 */
export function readHeader(segment: string): JoseHeader | undefined {
  const members = decodeObject(segment)?.members
  if (members === undefined) return undefined
  if (Object.hasOwn(members, 'crit') || Object.hasOwn(members, 'b64')) return undefined
  const { alg, typ } = members
  if (typeof alg !== 'string' || alg === '') return undefined
  if (typ !== undefined && typeof typ !== 'string') return undefined
  return { alg, typ: typ === undefined ? undefined : mediaType(typ), members }
}

/** The `jwk` of a header, where it is an object. */
export function headerJwk(header: JoseHeader): Record<string, unknown> | undefined {
  const { jwk } = header.members
  return isObject(jwk) ? jwk : undefined
}

/** The longest token, in characters. */
const maxInputLength = 16 * 1024

/** Scratch buffers. Only safe while verification is synchronous: do not `await` between writing and reading. */
const inputBytes = createScratchBuffer(maxInputLength)
const signatureBytesOf = createScratchBuffer(1024)

/** Whether the key made this signature (canonical base64url) over this input. Never throws. */
export function isSignedBy(key: PublicKey, algorithm: Algorithm, input: string, signature: string): boolean {
  const { dsaEncoding, padding, saltLength } = algorithm.options
  const size = algorithm.size === undefined ? key.modulusLength : algorithm.size * 2
  const signatureBytes = signatureBytesOf(signature, 'base64url')
  if (signatureBytes.length !== size || input.length > maxInputLength) return false
  try {
    return verifySignature(
      algorithm.digest,
      inputBytes(input, 'latin1'),
      { key: key.object, dsaEncoding, padding, saltLength },
      signatureBytes,
    )
  } catch {
    return false
  }
}

/** Writes texts into one buffer. The bytes are valid until the next call. Views are cached by length. */
function createScratchBuffer(size: number): (text: string, encoding: BufferEncoding) => Buffer {
  const scratch = Buffer.allocUnsafeSlow(size)
  // No holes: a hole would be read from a polluted prototype.
  const views = Array.from({ length: 31 }, () => scratch)
  return (text, encoding) => {
    const length = scratch.write(text, encoding)
    const slot = length % views.length
    const known = views[slot] as Buffer
    if (known.length === length) return known
    const view = scratch.subarray(0, length)
    views[slot] = view
    return view
  }
}

function mediaType(typ: string): string {
  const lower = typ.toLowerCase()
  return lower.startsWith('application/') ? lower.slice('application/'.length) : lower
}
