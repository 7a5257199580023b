import { Buffer } from 'node:buffer'
import { verify as verifySignature } from 'node:crypto'
import { isObject } from '../lib/own.js'
import type { Algorithm } from './algorithms.js'
import { decodeBase64urlText, isExact } from './base64url.js'
import type { PublicKey } from './jwk.js'
import { type JsonObject, parseJsonObject } from './strict-json.js'

/** A compact JWS whose shape is right and whose content nobody has vouched for yet. */
export interface UnverifiedJws {
  readonly header: JoseHeader
  readonly payload: Record<string, unknown>
  /** How many values the payload holds. */
  readonly valueCount: number
  /** The segment: base64url, and exact. */
  readonly signature: string
  /** What the signature is over. */
  readonly input: string
}

/** The parts of a JOSE header that every kind of JWS here reads the same way. */
export interface JoseHeader {
  readonly alg: string
  /** Lower case, without a leading "application/" (RFC 7515 section 4.1.9). */
  readonly typ: string | undefined
  readonly members: Record<string, unknown>
}

/** The segments of a compact JWS, still text. */
export interface Segments {
  readonly header: string
  readonly payload: string
  readonly signature: string
}

/**
 * Splits a compact JWS (RFC 7515 section 7.1); undefined where it is longer than `maxLength` characters or
 * has not three segments. An empty signature is let through, so that `alg: none` is refused by its name.
 */
export function splitCompact(text: string, maxLength: number): Segments | undefined {
  // The length first: everything that follows costs in proportion to it.
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

/** What the signature of a compact JWS is over: all of it up to the second dot. */
export function inputOf(text: string, { header, payload }: Segments): string {
  return text.slice(0, header.length + 1 + payload.length)
}

/** Reads a compact JWS up to its signature, which it does not verify; undefined where it is malformed. */
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
 * Reads a JOSE header, or gives undefined where it is malformed or asks for an extension: no extension is
 * understood here, so any `crit` is one too many, and an unencoded payload is not a JWT
 * (RFC 7515 section 4.1.11, RFC 7797 section 7).
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

/** In characters: as long as a token may be. */
const maxInputLength = 16 * 1024

/** Where the input of a signature stands while it is verified, and where the signature does: nothing between may wait. */
const inputRoom = createRoom(maxInputLength)
const signatureRoom = createRoom(1024)

/**
 * Whether the key made this signature, which is base64url and exact, over this input. Never throws. The text is decoded
 * here and not before, so that no buffer has to be made for it.
 */
export function isSignedBy(key: PublicKey, algorithm: Algorithm, input: string, signature: string): boolean {
  const { dsaEncoding, padding, saltLength } = algorithm.options
  const size = algorithm.size === undefined ? key.modulusLength : algorithm.size * 2
  const signatureBytes = signatureRoom(signature, 'base64url')
  if (signatureBytes.length !== size || input.length > maxInputLength) return false
  try {
    return verifySignature(
      algorithm.digest,
      inputRoom(input, 'latin1'),
      { key: key.object, dsaEncoding, padding, saltLength },
      signatureBytes,
    )
  } catch {
    return false
  }
}

/**
 * Gives the bytes of a text, until it is asked for those of the next one. A view takes its time to make: most texts are
 * as long as one before, and have its view.
 */
function createRoom(size: number): (text: string, encoding: BufferEncoding) => Buffer {
  const room = Buffer.allocUnsafeSlow(size)
  // Full from the start: a hole would be read from the prototype.
  const views = Array.from({ length: 31 }, () => room)
  return (text, encoding) => {
    const length = room.write(text, encoding)
    const slot = length % views.length
    const known = views[slot] as Buffer
    if (known.length === length) return known
    const view = room.subarray(0, length)
    views[slot] = view
    return view
  }
}

function mediaType(typ: string): string {
  const lower = typ.toLowerCase()
  return lower.startsWith('application/') ? lower.slice('application/'.length) : lower
}
