import { parseRule } from '#policy-parser'
import { findHandlerRuleProblems } from '#policy-problems'
import { sharedInProcess } from '../lib/copies.js'
import { processWarning } from '../lib/process-warning.js'
import { PolicyError, type PolicyIssue, toIssue } from '../policy/error.js'
import type { AppliedRuleData } from '../policy/mcp-schema.js'
import type { HandlerRule } from '../policy/policy.js'
import type { RuleData } from '../policy/schema.js'
import { describe, Refusal } from '../refusal.js'
import { compileRule, type Rule, type RuleContext } from '../rules/rule.js'

/**
 * Compiles a rule of a handler. Its names can be checked only now that the policy is known. A rule with a
 * wrong name refuses every request with `internal_error` and warns once.
 */
export function compileHandlerRule(
  rule: AppliedRuleData,
  context: RuleContext,
  place = `a rule of a handler: ${JSON.stringify(rule.limit)}`,
): Rule {
  const issues: PolicyIssue[] = []
  findHandlerRuleProblems(rule, context, (path, message) => issues.push(toIssue(path, message)))
  // The route's own rule has asked the hook already.
  const compiled = compileRule({ ...rule, authorize: rule.authorize ?? false }, context, place)
  if (issues.length === 0) return compiled
  const { message } = new PolicyError(issues)
  processWarning(`a rule of a handler or of an MCP server refuses every request. ${message}`, 'AJWT_RULE')
  const denial = new Refusal('internal_error', { reason: describe(message) })
  return Object.freeze({ ...compiled, check: () => denial })
}

/** Parsed rules with their JSON, because the object can change between two calls. */
const parsedRules = sharedInProcess(
  'parsed rules',
  () => new WeakMap<HandlerRule, { readonly text: string; readonly data: RuleData }>(),
)

/**
 * Parses a rule of `check` or `checkIntent`. Cached, because an app passes the same few rules. Throws
 * PolicyError.
 */
export function parseHandlerRule(rule: HandlerRule): RuleData {
  const cached = parsedRules.get(rule)
  if (cached !== undefined && cached.text === textOf(rule)) return cached.data
  const data = parseRule(rule)
  parsedRules.set(rule, { text: textOf(rule), data })
  return data
}

/** JSON leaves functions out: each gets a number. */
const functions = sharedInProcess('functions of rules', () => ({
  count: 0,
  numbers: new WeakMap<object, number>(),
}))

/** The text of rules, which changes where they do. */
export function textOf(rule: object): string {
  return JSON.stringify(rule, (_name, value: unknown) => {
    if (typeof value !== 'function') return value
    const number = functions.numbers.get(value) ?? ++functions.count
    functions.numbers.set(value, number)
    return { function: number }
  })
}
