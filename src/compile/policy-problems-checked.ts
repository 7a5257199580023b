import { policyOfRule } from '../policy/checked.js'
import type { Problems } from '../policy/problems.js'
import type { RuleData } from '../policy/schema.js'
import type { RuleContext } from '../rules/rule.js'
import type { PolicyParts } from './policy-parts.js'

// `#policy-problems` under the condition `ajwt-checked`: `ajwt check --emit` has looked for them.

export function findPolicyProblems(_parts: PolicyParts, _hasResolver: boolean, _problems: Problems): void {}

/** With another policy, the names in the rule could be those of nothing, and a condition would be lost. */
export function findHandlerRuleProblems(
  rule: RuleData,
  { policy }: RuleContext,
  report: (path: readonly PropertyKey[], message: string) => void,
): void {
  if (policyOfRule(rule) !== policy)
    report([], 'the rule was checked with another policy: pass the policy of the same module')
}
