import type { Json } from '../lib/json.js'

/** A constraint on one claim. All of its keys must hold. */
export interface ClaimConstraint {
  /** The claim equals this JSON value. */
  equals?: Json
  /** The claim equals one of these JSON values. */
  in?: readonly Json[]
  /** The claim is a number of at least this value. */
  min?: number
  /** The claim is a number of at most this value. */
  max?: number
  /** `true`: the token has the claim. `false`: it does not. */
  exists?: boolean
  /**
   * The claim is an array with all of these elements, or a space-separated string with all of these words.
   */
  includes?: string | readonly string[]
  /** One element of the array meets all of these constraints. JSON pointers into the element. */
  some?: { readonly [pointer: string]: Omit<ClaimConstraint, 'some'> }
  /** The claim equals the path parameter with this name, as a string or as a safe integer. */
  param?: string
}
