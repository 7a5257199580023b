import { version } from '../lib/copies.js'
import { toArray } from '../lib/to-array.js'
import { digestOf } from '../policy/checked.js'
import { withKnownServers } from '../policy/known-server.js'
import { parseRules } from '../policy/parse.js'
import type { Policy } from '../policy/policy.js'
import { createProblems } from '../policy/problems.js'
import type { PolicyData, RuleData } from '../policy/schema.js'
import type { RuleContext } from '../rules/rule.js'
import { compilePolicy } from './compile-policy.js'
import { findNameProblems } from './unreachable.js'

/**
 * Checks a policy, and returns a module (ESM) whose default export is the checked policy, in which `like` is
 * filled in. With `rules` for handlers, by name, it exports them as `rules`. Throws a PolicyError where the
 * policy or a rule is wrong.
 */
export function emitPolicy(policy: Policy, rules?: object): string {
  const { ruleContext } = compilePolicy(policy)
  const data = toJson(withKnownServers(toJson<PolicyData>(policy)))
  const checkedPolicy = `checkedPolicy(
  ${JSON.stringify(version)},
  ${JSON.stringify(digestOf(data))},
  ${indented(data)},
)`
  const head = '// Written by `ajwt check --emit`. Do not edit: a changed policy is refused.'
  if (rules === undefined)
    return `${head}\nimport { checkedPolicy } from "ajwt"\n\nexport default ${checkedPolicy}\n`
  checkRules(rules, ruleContext)
  const ruleData = toJson(rules)
  return `${head}
import { checkedPolicy, checkedRules } from "ajwt"

const policy = ${checkedPolicy}
export default policy

export const rules = checkedRules(
  policy,
  ${JSON.stringify(digestOf(ruleData))},
  ${indented(ruleData)},
)
`
}

/** Parses the rules of handlers. Throws a PolicyError with every mistake. */
export function checkRules(rules: object, context: RuleContext): readonly RuleData[] {
  const problems = createProblems(rules)
  const parsed = Object.entries(parseRules(rules))
  for (const [name, rule] of parsed) {
    const report = (path: readonly PropertyKey[], message: string) => problems.add([name, ...path], message)
    findNameProblems(rule, context, report)
    for (const limit of toArray(rule.limit ?? [])) {
      if (typeof limit.cost === 'function')
        report(['limit'], 'has a function as its cost: a module of data needs a number or a JSON pointer')
    }
  }
  problems.throwIfAny()
  return parsed.map(([, rule]) => rule)
}

/** The same data, as a reader of JSON gets it: a member that is undefined is gone. */
function toJson<T>(data: unknown): T {
  return JSON.parse(JSON.stringify(data))
}

function indented(data: unknown): string {
  return JSON.stringify(data, undefined, 2).replaceAll('\n', '\n  ')
}
