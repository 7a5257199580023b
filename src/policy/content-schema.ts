import * as z from 'zod/mini'
import { findConstraintProblems, findInexactNumbers } from './constraint.js'
import { hasKeys, json, nonEmpty, object, pointer, text } from './schema-parts.js'

/**
 * A constraint on what a request says: one schema for arguments of MCP tools, bodies and query parameters.
 */
const contentConstraint = object({
  exists: z.optional(z.boolean()),
  equals: z.optional(json),
  in: z.optional(nonEmpty(json, 'value')),
  min: z.optional(z.number()),
  max: z.optional(z.number()),
  claim: z.optional(pointer),
  minClaim: z.optional(pointer),
  maxClaim: z.optional(pointer),
}).check(
  z.refine(hasKeys, 'must have at least one constraint'),
  z.superRefine((constraint, context) => {
    const report = (path: readonly PropertyKey[], message: string) =>
      context.addIssue({ code: 'custom', message, path: [...path], input: constraint })
    findConstraintProblems(constraint, report)
    findInexactNumbers(constraint, report)
  }),
)

/** By JSON pointer into the arguments or the body. */
export const contentConstraints = z.record(pointer, contentConstraint)

/** By the name of a query parameter, decoded. */
export const queryConstraints = z.record(
  text.check(z.regex(/[^[\].]/, 'must be the name of a query parameter')),
  contentConstraint,
)

export type ContentConstraintData = z.infer<typeof contentConstraint>
export type ContentConstraintsData = z.infer<typeof contentConstraints>
