import { isBase64url } from '../jws/base64url.js'
import { brandError } from '../lib/copies.js'
import type { Json, JsonMembers } from '../lib/json.js'
import { isObject } from '../lib/objects.js'
import { isIdentifier, isStringArray, isSubject } from '../lib/strings.js'
import { describe, Refusal } from '../refusal.js'

// Each reader returns the value of one claim with its type, or throws InvalidClaim.

/** A required claim is missing, or a claim is not valid. */
export class InvalidClaim extends Error {
  static {
    brandError(InvalidClaim, 'InvalidClaim')
  }
  readonly refusal: Refusal

  constructor(claim: string, expected: string, value: unknown) {
    super(claim)
    const reason = `${claim} is ${value === undefined ? 'missing' : 'not valid'}`
    this.refusal = new Refusal('claims_invalid', { reason, claim, expected, found: describe(value) })
  }
}

export function readIdentifier(value: unknown, claim: string): string {
  assertClaim(isIdentifier(value), claim, '1 to 256 characters of printable ASCII', value)
  return value
}

/** An identifier that becomes part of a hash. */
export function readHashableIdentifier(value: unknown, claim: string): string {
  const id = readIdentifier(value, claim)
  assertHashable(id, claim)
  return id
}

/** The chain hash joins ids with "|". An id with a "|" could stand for two ids. */
export function assertHashable(id: string, claim: string): void {
  assertClaim(!id.includes('|'), claim, 'an id without "|", which joins ids in a hash', id)
}

/** RFC 7519 StringOrURI. Not restricted to ASCII. Never normalised. */
export function readSubject(value: unknown, claim: string): string {
  assertClaim(isSubject(value), claim, '1 to 256 characters without control characters', value)
  return value
}

export function readThumbprint(value: unknown, claim: string): string {
  // Only the type of the value is reported, because the value could be key material.
  assertClaim(isThumbprint(value), claim, 'a thumbprint of 43 base64url characters', typeof value)
  return value
}

function isThumbprint(value: unknown): value is string {
  return typeof value === 'string' && value.length === 43 && isBase64url(value)
}

export function readString(value: unknown, claim: string): string {
  assertClaim(typeof value === 'string' && value !== '', claim, 'a string that is not empty', value)
  return value
}

export function readNumber(value: unknown, claim: string): number {
  assertClaim(typeof value === 'number', claim, 'a number', asText(value))
  return value
}

/** A number in quotes is no number, and has to look different. */
function asText(value: unknown): unknown {
  return typeof value === 'string' ? `the text ${JSON.stringify(value)}` : value
}

export function readStringArray(value: unknown, claim: string): readonly string[] {
  assertClaim(isStringArray(value), claim, 'an array of strings', value)
  return value
}

export function readObject(value: Json | undefined, claim: string): JsonMembers {
  assertClaim(isObject(value), claim, 'an object', value)
  return value
}

export function readOptional<T>(
  read: (value: unknown, claim: string) => T,
  value: unknown,
  claim: string,
): T | undefined {
  return value === undefined ? undefined : read(value, claim)
}

/** Some issuers send `null` for a claim that they have no value for. */
export function absentIfNull<T>(value: T | null): T | undefined {
  return value === null ? undefined : value
}

export function assertClaim(
  condition: boolean,
  claim: string,
  expected: string,
  found: unknown,
): asserts condition {
  if (!condition) throw new InvalidClaim(claim, expected, found)
}
