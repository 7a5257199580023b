import { snapshot } from '../lib/plain-data.js'
import { isChecked, policyOfRule } from './checked.js'
import { PolicyError } from './error.js'
import { createProblems, type ParsedPolicy } from './problems.js'
import type { PolicyData, RuleData } from './schema.js'

// `#policy-parser` under the condition `ajwt-checked`: without the schema. Everything that is not checked is
// refused.

export function parsePolicy(policy: unknown): ParsedPolicy {
  if (!isChecked(policy)) {
    refuse(
      'is not checked: pass the module that `ajwt check --emit` writes, or bundle without "ajwt-checked"',
    )
  }
  // The schema changes nothing: the digest of a checked policy is that of its parsed data.
  const data: PolicyData = snapshot(policy) as unknown as PolicyData
  return { data, routeKeys: Object.keys(data.routes), problems: createProblems(policy) }
}

export function parseRule(rule: unknown): RuleData {
  if (policyOfRule(rule) === undefined) {
    refuse(
      'is not checked: pass a rule of the module that `ajwt check --rules --emit` writes, write it in routes ' +
        'of the policy, or bundle without "ajwt-checked"',
    )
  }
  return rule as RuleData
}

export function parseStrictly(_shape: unknown, _value: unknown): never {
  return refuse('is not checked: rules of an MCP server need a bundle without the condition "ajwt-checked"')
}

function refuse(message: string): never {
  throw new PolicyError([{ path: '', message }])
}
