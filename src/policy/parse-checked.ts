import { snapshot } from '../lib/plain-data.js'
import { isChecked } from './checked.js'
import { PolicyError } from './error.js'
import { createProblems, type ParsedPolicy, type Problems } from './problems.js'
import type { IssuerData, PolicyData, RuleData } from './schema.js'

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

/** A function of the app returns the entry: nobody has checked it. */
export function parseIssuer(_issuer: unknown): { data: string | IssuerData; problems: Problems } {
  return refuse('resolveIssuer cannot be used in a bundle with the condition "ajwt-checked"')
}

export function parseRule(_rule: unknown): RuleData {
  return refuse(
    'is not checked: in a bundle with the condition "ajwt-checked", write the rule in routes of the policy',
  )
}

export function parseStrictly(_shape: unknown, _value: unknown): never {
  return refuse('is not checked: rules of an MCP server need a bundle without the condition "ajwt-checked"')
}

function refuse(message: string): never {
  throw new PolicyError([{ path: '', message }])
}
