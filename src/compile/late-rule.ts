import { sharedInProcess } from '../lib/copies.js'
import { processWarning } from '../lib/process-warning.js'
import { PolicyError, type PolicyIssue, toIssue } from '../policy/error.js'
import { parseRule } from '../policy/parse.js'
import type { RouteRule } from '../policy/policy.js'
import type { RuleData } from '../policy/schema.js'
import { describe, Refusal } from '../refusal.js'
import { compileRule, type Rule, type RuleContext } from '../rules/rule.js'
import { findNameProblems } from './unreachable.js'

/**
 * Compiles a rule of `requireIntent`, whose names could not be checked before the policy was known. One
 * with a wrong name refuses every request as `internal_error` and warns once: the app is wrong, not the
 * caller.
 */
export function compileLateRule(rule: RuleData, context: RuleContext): Rule {
  const issues: PolicyIssue[] = []
  findNameProblems(rule, context, (path, message) => issues.push(toIssue(path, message)))
  if (issues.length === 0) return compileRule(rule, context)
  const { message } = new PolicyError(issues)
  processWarning(`a requireIntent refuses every request. ${message}`, 'AJWT_RULE')
  const denial = new Refusal('internal_error', { reason: describe(message) })
  return Object.freeze({ ...compileRule(rule, context), check: () => denial, once: false })
}

/** Rules that were read before, each with its text then: an object can be changed between two calls. */
const rulesRead = sharedInProcess(
  'rules read',
  () => new WeakMap<RouteRule, { readonly text: string; readonly data: RuleData }>(),
)

/**
 * Reads a rule of `check` or `checkIntent`: a resolver comes with the same few. Throws a PolicyError where
 * it is wrong.
 */
export function readLateRule(rule: RouteRule): RuleData {
  const known = rulesRead.get(rule)
  if (known !== undefined && known.text === JSON.stringify(rule)) return known.data
  const data = parseRule(rule)
  rulesRead.set(rule, { text: JSON.stringify(rule), data })
  return data
}
