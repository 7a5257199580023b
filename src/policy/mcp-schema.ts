import * as z from 'zod/mini'
import { checkResourceKey } from './resource-uri.js'
import {
  handlerRuleSchema,
  handlerRuleShape,
  json,
  nonEmpty,
  object,
  pointer,
  text,
  union,
} from './schema.js'

// The rules of an MCP server. Like the schema of a policy, it checks the structure only.

const hasKeys = (constraint: object) => Object.keys(constraint).length > 0

const argumentConstraint = object({
  equals: z.optional(json),
  in: z.optional(nonEmpty(json, 'value')),
  min: z.optional(z.number()),
  max: z.optional(z.number()),
  exists: z.optional(z.boolean()),
  claim: z.optional(pointer),
  minClaim: z.optional(pointer),
  maxClaim: z.optional(pointer),
}).check(z.refine(hasKeys, 'must have at least one constraint'))

const toolRule = object({
  ...handlerRuleShape,
  arguments: z.optional(z.record(pointer, argumentConstraint)),
})

const resourceKey = z.string().check(
  z.superRefine((key, context) => {
    const problem = checkResourceKey(key)
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem })
  }),
)

export const mcpRulesSchema = object({
  tools: z.record(text, toolRule),
  prompts: z.optional(z.record(text, toolRule)),
  resources: z.optional(z.record(resourceKey, handlerRuleSchema)),
  methods: z.optional(
    z.record(
      text,
      union(
        [z.literal('authenticated'), handlerRuleSchema],
        '"authenticated", or a rule such as { scope: "orders:read" }',
      ),
    ),
  ),
})

export type McpRulesData = z.infer<typeof mcpRulesSchema>
/** A rule of a handler, or one of an MCP tool or prompt. */
export type ToolRuleData = z.infer<typeof toolRule>
export type ArgumentConstraintData = z.infer<typeof argumentConstraint>
