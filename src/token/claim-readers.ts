import { isBase64url } from '../jws/base64url.js'
import { oneErrorForCopies } from '../lib/copies.js'
import { isObject } from '../lib/own.js'
import { isIdentifier, isSubject } from '../lib/strings.js'
import { describe, Refusal } from '../refusal.js'

// Readers of one claim each: they give the value with its type, or throw an InvalidClaim.

/** Ends the reading of a token: a required claim is missing, or one that decides is not of its type. */
export class InvalidClaim extends Error {
  static {
    oneErrorForCopies(InvalidClaim, 'InvalidClaim')
  }
  readonly refusal: Refusal

  constructor(claim: string, expected: string, value: unknown) {
    super(claim)
    const reason = `${claim} is ${value === undefined ? 'missing' : 'not of its type'}`
    this.refusal = new Refusal('claims_invalid', { reason, claim, expected, found: describe(value) })
  }
}

export function identifier(value: unknown, claim: string): string {
  assertClaim(isIdentifier(value), claim, '1 to 256 characters of printable ASCII', value)
  return value
}

/** RFC 7519 StringOrURI: names that are not ASCII occur. Compared as they are, never normalised. */
export function subject(value: unknown, claim: string): string {
  assertClaim(isSubject(value), claim, '1 to 256 characters without controls', value)
  return value
}

export function withoutBar(id: string, claim: string): string {
  assertClaim(!id.includes('|'), claim, 'an id without "|", which joins ids in a hash', id)
  return id
}

export function thumbprint(value: unknown, claim: string): string {
  const isThumbprint = typeof value === 'string' && value.length === 43 && isBase64url(value)
  assertClaim(isThumbprint, claim, 'a thumbprint of 43 base64url characters', typeof value)
  return value as string
}

export function text(value: unknown, claim: string): string {
  assertClaim(typeof value === 'string' && value !== '', claim, 'a string that is not empty', value)
  return value as string
}

export function number(value: unknown, claim: string): number {
  assertClaim(typeof value === 'number', claim, 'a number', value)
  return value
}

export function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

export function strings(value: unknown, claim: string): readonly string[] {
  assertClaim(isStrings(value), claim, 'an array of strings', value)
  return value
}

export function object(value: unknown, claim: string): Record<string, unknown> {
  assertClaim(isObject(value), claim, 'an object', value)
  return value
}

export function optional<T>(
  read: (value: unknown, claim: string) => T,
  value: unknown,
  claim: string,
): T | undefined {
  return value === undefined ? undefined : read(value, claim)
}

/** Issuers send `null` for what they do not have. */
export function absentIfNull(value: unknown): unknown {
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
