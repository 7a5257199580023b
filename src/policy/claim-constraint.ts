import type { Json } from '../lib/json.js'

/** A constraint on one claim; all of its keys have to hold. */
export interface ClaimConstraint {
  /** The claim is this JSON value. */
  equals?: Json
  /** The claim is one of these JSON values. */
  in?: readonly Json[]
  /** The claim is a number, and at least this. */
  min?: number
  /** The claim is a number, and at most this. */
  max?: number
  /** Whether the claim is there at all. */
  exists?: boolean
  /** An array holds each of these, or a blank-separated string has each as a word. */
  includes?: string | readonly string[]
  /** One element of the array meets all of these, by JSON pointer into the element. */
  some?: { readonly [pointer: string]: Omit<ClaimConstraint, 'some'> }
  /** The claim is the path parameter of this name: as a string, or as a safe integer in decimal. */
  param?: string
}
