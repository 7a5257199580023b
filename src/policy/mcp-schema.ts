import * as z from 'zod/mini'
import { contentConstraints } from './content-schema.js'
import { checkResourceKey } from './resource-uri.js'
import { limitedRuleSchema, limitedRuleShape, type RuleData } from './schema.js'
import { object, text, union } from './schema-parts.js'

// The rules of an MCP server. Like the schema of a policy, it checks the structure only.

const useArguments = 'is for requireIntent: write arguments, which are constraints on params.arguments'

const toolRule = object(
  { ...limitedRuleShape, arguments: z.optional(contentConstraints) },
  { body: useArguments, query: useArguments, digest: useArguments },
)

const resourceKey = z.string().check(
  z.superRefine((key, context) => {
    const problem = checkResourceKey(key)
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem })
  }),
)

export const mcpRulesSchema = object({
  tools: z.record(text, toolRule),
  prompts: z.optional(z.record(text, toolRule)),
  resources: z.optional(z.record(resourceKey, limitedRuleSchema)),
  methods: z.optional(
    z.record(
      text,
      union(
        [z.literal('authenticated'), limitedRuleSchema],
        '"authenticated", or a rule such as { scope: "orders:read" }',
      ),
    ),
  ),
})

/** A rule of a handler, or one of an MCP tool or prompt. */
export type ToolRuleData = z.infer<typeof toolRule>
/** Any rule that is applied after the route's own. */
export type AppliedRuleData = RuleData & Pick<ToolRuleData, 'arguments'>
