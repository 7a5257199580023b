import { parseStrictly } from '#policy-parser'
import { textOf } from '../compile/handler-rule.js'
import { sharedInProcess } from '../lib/copies.js'
import type { ContentConstraint } from '../policy/content.js'
import { mcpRulesSchema, type ToolRuleData } from '../policy/mcp-schema.js'
import type { LimitedRule } from '../policy/policy.js'
import type { McpMessage } from './message.js'

/** A constraint on one argument. */
export type ArgumentConstraint = ContentConstraint

/** The conditions of one tool or prompt. `cost` functions of its limits get the JSON-RPC message. */
export interface ToolRule extends LimitedRule<McpMessage> {
  /** By JSON pointer (RFC 6901) into `params.arguments`. */
  arguments?: { readonly [pointer: string]: ArgumentConstraint }
}

/** The rules of an MCP server. Names are exact and case-sensitive. */
export interface McpRules {
  /** By the name of the tool. A tool without a rule is unknown. */
  tools: { readonly [name: string]: ToolRule }
  /** By the name of the prompt: `prompts/get`, and `completion/complete` that refers to it. */
  prompts?: { readonly [name: string]: ToolRule }
  /** By URI, or by a prefix with a final `*`. The longest that matches applies. */
  resources?: { readonly [uriOrPrefix: string]: LimitedRule<McpMessage> }
  /** By JSON-RPC method. Applies before the rule of a tool, a prompt or a resource. */
  methods?: { readonly [method: string]: LimitedRule<McpMessage> | 'authenticated' }
}

/** One parsed rule. */
export interface McpRule {
  readonly data: ToolRuleData
  /** Without `arguments`: for lists, which are read before there are any. */
  readonly listing: ToolRuleData
  /** Tells limits without a name apart. */
  readonly place: string
  /** For the operator, such as `tools refund`. */
  readonly target: string | undefined
}

export interface ParsedRules {
  readonly tools: ReadonlyMap<string, McpRule>
  readonly prompts: ReadonlyMap<string, McpRule> | undefined
  readonly resources: ReadonlyMap<string, McpRule> | undefined
  readonly methods: ReadonlyMap<string, McpRule>
}

/** Parses the rules of an MCP server. Throws a PolicyError that lists every mistake. */
export function parseMcpRules(rules: unknown): ParsedRules {
  const { tools, prompts, resources, methods = {} } = parseStrictly(mcpRulesSchema, rules)
  return {
    tools: toRules('tools', tools),
    prompts: prompts && toRules('prompts', prompts),
    resources: resources && toRules('resources', resources),
    methods: toRules('methods', methods),
  }
}

/** Parsed rules, with the text that they were parsed from: an app may change the object. */
const parsed = sharedInProcess(
  'rules of MCP servers',
  () => new WeakMap<McpRules, { readonly text: string; readonly rules: ParsedRules }>(),
)

/** Parses rules that come with every call, and keeps the result. Throws a PolicyError. */
export function rulesOf(rules: McpRules): ParsedRules {
  const cached = parsed.get(rules)
  const text = textOf(rules)
  if (cached?.text === text) return cached.rules
  const own = parseMcpRules(rules)
  parsed.set(rules, { text, rules: own })
  return own
}

export function everyRuleOf({ tools, prompts, resources, methods }: ParsedRules): readonly McpRule[] {
  return [tools, prompts, resources, methods].flatMap((rules) => [...(rules?.values() ?? [])])
}

/** The rule of a caller who has authenticated. */
export const authenticated: ToolRuleData = Object.freeze({})

function toRules(
  part: string,
  rules: { readonly [name: string]: ToolRuleData | 'authenticated' },
): ReadonlyMap<string, McpRule> {
  return new Map(
    Object.entries(rules).map(([name, rule]) => {
      const data = rule === 'authenticated' ? authenticated : rule
      const { arguments: _constraints, ...listing } = data
      return [name, { data, listing, place: `mcp ${part} ${name}`, target: `${part} ${name}` }]
    }),
  )
}
