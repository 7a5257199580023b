import { decodeBase64urlText } from '#runtime'
import { isObject, isPrototypePolluted } from '../lib/objects.js'
import { isExact } from './base64url.js'
import { type JsonObject, parseJsonObject } from './strict-json.js'

/** A well-formed compact JWS. Its signature is not verified yet. */
export interface UnverifiedJws {
  readonly header: JoseHeader
  readonly payload: Record<string, unknown>
  /** How many values the payload holds. */
  readonly valueCount: number
  /** Canonical base64url. */
  readonly signature: string
  /** The signing input: header, dot and payload. */
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
 * Splits a compact JWS (RFC 7515 section 7.1). Undefined for more than `maxLength` characters or another
 * number of segments. An empty signature is kept, so that `alg: none` is refused by name.
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

/** The JSON object in a segment, or undefined. Its objects inherit no member of a polluted prototype. */
export function decodeObject(segment: string): JsonObject | undefined {
  const object = decodeOwnMembers(segment)
  if (object === undefined || !isPrototypePolluted()) return object
  for (const container of object.containers)
    if (!Array.isArray(container)) Object.setPrototypeOf(container, null)
  return object
}

/** The same for a reader of own members, which needs no check for a polluted prototype. */
export function decodeOwnMembers(segment: string): JsonObject | undefined {
  const bytes = decodeBase64urlText(segment)
  return bytes === undefined ? undefined : parseJsonObject(bytes)
}

/**
 * Reads a JOSE header. Undefined where it is malformed or has `crit` or `b64`: ajwt supports no extension,
 * and a JWT has no unencoded payload (RFC 7515 section 4.1.11, RFC 7797 section 7).
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

/** A `typ` in lower case, without `application/` (RFC 7515 section 4.1.9). */
export function mediaType(typ: string): string {
  const lower = typ.toLowerCase()
  return lower.startsWith('application/') ? lower.slice('application/'.length) : lower
}
