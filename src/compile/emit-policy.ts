import { version } from '../lib/copies.js'
import { digestOf } from '../policy/checked.js'
import type { Policy } from '../policy/policy.js'
import { compilePolicy } from './compile-policy.js'

/**
 * Checks a policy, and returns a module (ESM) whose default export is the checked policy. Throws a
 * PolicyError where the policy is wrong.
 */
export function emitPolicy(policy: Policy): string {
  compilePolicy(policy)
  // As a reader of the module gets it: a member that is undefined is gone.
  const data = JSON.parse(JSON.stringify(policy))
  return `// Written by \`ajwt check --emit\`. Do not edit: a changed policy is refused.
import { checkedPolicy } from "ajwt"

export default checkedPolicy(
  ${JSON.stringify(version)},
  ${JSON.stringify(digestOf(data))},
  ${JSON.stringify(data, undefined, 2).replaceAll('\n', '\n  ')},
)
`
}
