import type { Json } from '../lib/json.js'

/**
 * A constraint on one value of a request: an argument of an MCP tool, a member of a body, a query parameter.
 * All of its keys must hold. Values are compared by type: `17` is not `"17"`. A missing value meets only
 * `exists: false`, and an integer that JSON numbers cannot hold exactly (beyond 2^53 - 1) meets no
 * comparison.
 */
export interface ContentConstraint {
  /** `true`: the value is there. `false`: it is not. */
  exists?: boolean
  /** The value equals this JSON value. */
  equals?: Json
  /** The value equals one of these JSON values. */
  in?: readonly Json[]
  /** The value is a number of at least this. */
  min?: number
  /** The value is a number of at most this. */
  max?: number
  /** The value equals the claim at this JSON pointer. */
  claim?: string
  /** The value is a number of at least the claim at this JSON pointer. */
  minClaim?: string
  /** The value is a number of at most the claim at this JSON pointer. */
  maxClaim?: string
}
