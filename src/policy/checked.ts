import { sha256 } from '#runtime'
import { sharedInProcess, version } from '../lib/copies.js'
import { snapshot } from '../lib/plain-data.js'
import { PolicyError } from './error.js'
import type { HandlerRule, Policy } from './policy.js'

/** Checked policies, and checked rules of handlers: each with the policy that it was checked with. */
const checked = sharedInProcess('checked policies', () => new WeakMap<object, Policy>())

/** SHA-256 of a policy or of rules as JSON, base64url. */
export function digestOf(data: unknown): string {
  return sha256(JSON.stringify(data))
}

const again = 'run `ajwt check --emit` again'

/**
 * A policy that `ajwt check --emit` has checked. Only the module that it writes calls this. A bundle with the
 * condition `ajwt-checked` takes no other policy: it has no code to check one. Throws a PolicyError where
 * another version of this package has checked the policy, or where it was changed since.
 */
export function checkedPolicy(checkedBy: string, digest: string, policy: Policy): Policy {
  if (checkedBy !== version) refuse(`was checked by ajwt ${checkedBy}, and this is ${version}: ${again}`)
  if (digestOf(policy) !== digest) refuse(`was changed after it was checked: ${again}`)
  const copy = snapshot(policy)
  checked.set(copy, copy)
  return copy
}

/**
 * Rules for `requireIntent`, `checkIntent` and `check` that `ajwt check --rules --emit` has checked together
 * with the policy. Only the module that it writes calls this. Throws a PolicyError where a rule was changed
 * since.
 */
export function checkedRules<Name extends string>(
  policy: Policy,
  digest: string,
  rules: { readonly [N in Name]: HandlerRule },
): { readonly [N in Name]: HandlerRule } {
  if (!isChecked(policy) || digestOf(rules) !== digest)
    refuse(`has rules of handlers that were changed after they were checked: ${again}`)
  const copy = snapshot(rules)
  for (const rule of Object.values<HandlerRule>(copy)) checked.set(rule, policy)
  return copy
}

export function isChecked(policy: unknown): policy is Policy {
  return typeof policy === 'object' && policy !== null && checked.get(policy) === policy
}

/** The policy that a rule of a handler was checked with. Undefined for a rule that is not checked. */
export function policyOfRule(rule: unknown): Policy | undefined {
  if (typeof rule !== 'object' || rule === null) return undefined
  const policy = checked.get(rule)
  return policy === rule ? undefined : policy
}

function refuse(message: string): never {
  throw new PolicyError([{ path: '', message }])
}
