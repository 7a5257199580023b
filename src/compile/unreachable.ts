import { hashIds } from '../jws/chain-hash.js'
import { formatChoice } from '../lib/nearest.js'
import { toArray } from '../lib/to-array.js'
import { findConstraintProblems } from '../policy/constraint.js'
import type { RouteKey } from '../policy/route-key.js'
import type { RuleData } from '../policy/schema.js'
import { findLimitProblems } from '../rules/limit.js'
import type { RuleContext } from '../rules/rule.js'

/** Reports a problem by its path within the rule. */
export type Report = (path: readonly PropertyKey[], message: string) => void

const agentId = /^[^\p{Cc}\p{Cs}]{1,256}$/u

/** The problem of an id in a policy, or undefined. */
export function findIdProblem(entry: string, { readId }: Pick<RuleContext, 'readId'>): string | undefined {
  const read = readId(entry)
  if (typeof read === 'string') return read
  return agentId.test(read.id) ? undefined : 'must have an id of 1 to 256 characters'
}

/** Reports names in a rule that the policy does not have: issuers, workflows and steps. */
export function findNameProblems(rule: RuleData, context: RuleContext, report: Report): void {
  findIntentProblems(rule, context, report)
  findLimitProblems(rule.limit, context.limitWindows, report)
  const { initiators = [], chains = [] } = rule.delegation ?? {}
  const entries: (readonly [path: readonly PropertyKey[], entry: string])[] = [
    ...(rule.agents ?? []).map((entry, index) => [['agents', index], entry] as const),
    ...(rule.user?.sub ?? []).map((entry, index) => [['user', 'sub', index], entry] as const),
    ...initiators.map((entry, index) => [['delegation', 'initiators', index], entry] as const),
    ...chains.flatMap((chain, index) =>
      chain.map((entry, hop) => [['delegation', 'chains', index, hop], entry] as const),
    ),
  ]
  for (const [path, entry] of entries) {
    const problem = findIdProblem(entry, context)
    if (problem !== undefined) report(path, problem)
  }
  for (const [index, chain] of chains.entries()) findChainProblems(chain, index, context, report)
}

function findIntentProblems({ intent }: RuleData, context: RuleContext, report: Report): void {
  const names = context.workflowNames
  if (intent === undefined || names === undefined) return
  const { workflow: name } = intent
  if (!names.includes(name)) {
    const problem = "is not in the policy's workflows, so its step order would not be checked"
    const choice = formatChoice(name, names, 'workflow')
    report(['intent', 'workflow'], `${JSON.stringify(name)} ${problem}${choice}`)
    return
  }
  const workflow = context.workflows.get(name)
  if (workflow === undefined) return
  for (const step of toArray(intent.step ?? [])) {
    if (workflow.has(step)) continue
    const choice = formatChoice(step, [...workflow.keys()], 'step')
    report(['intent', 'step'], `${JSON.stringify(step)} is not a step of ${JSON.stringify(name)}${choice}`)
  }
}

function findChainProblems(
  chain: readonly string[],
  index: number,
  { readId }: RuleContext,
  report: Report,
): void {
  const place = ['delegation', 'chains', index]
  const issuers = new Set<string>()
  for (const [hop, entry] of chain.entries()) {
    const read = readId(entry)
    if (typeof read === 'string') continue
    issuers.add(read.issuer)
    if (read.id.includes('|')) report([...place, hop], 'must not contain "|", which joins ids in a hash')
  }
  if (issuers.size > 1) {
    report(place, 'names agents of several issuers: write one chain for each issuer')
  }
}

/** Reports conditions that no request can meet. */
export function findUnreachable(
  rule: RuleData,
  route: RouteKey,
  { readId }: RuleContext,
  policy: { readonly maxDepth: number },
  report: Report,
): void {
  const { maxDepth = policy.maxDepth, chains = [], required } = rule.delegation ?? {}
  if (maxDepth > policy.maxDepth)
    report(['delegation', 'maxDepth'], `is more than the policy's delegation.maxDepth, ${policy.maxDepth}`)
  if (required === true && maxDepth === 0)
    report(['delegation', 'required'], 'contradicts maxDepth 0: remove one of them')
  for (const [index, chain] of chains.entries()) {
    for (const problem of findUnreachableChain(chain, rule, maxDepth)) {
      report(['delegation', 'chains', index], problem)
    }
  }
  const ids = (chain: readonly string[]) =>
    chain.map((entry) => {
      const read = readId(entry)
      return typeof read === 'string' ? entry : read.id
    })
  const texts = new Map(chains.map((chain) => [ids(chain).join('|'), hashIds(ids(chain))]))
  if (new Set(texts.values()).size < texts.size) {
    report(['delegation', 'chains'], 'lists two chains with the same hash: remove one of them')
  }
  findClaimProblems(rule, route, report)
  if (rule.anonymous === true && rule.mode === 'observe')
    report(['anonymous'], 'has no effect with mode "observe": remove one of them')
}

/** The reasons why no request can have this chain. */
function findUnreachableChain(chain: readonly string[], rule: RuleData, maxDepth: number): string[] {
  const { initiators, required } = rule.delegation ?? {}
  const problems: string[] = []
  if (chain.length - 1 > maxDepth) problems.push(`has more hops than maxDepth, ${maxDepth}`)
  if (new Set(chain).size < chain.length) problems.push('names an agent twice, which is a loop')
  if (required === true && chain.length === 1) problems.push('is a direct call, which contradicts required')
  if (rule.agents !== undefined && !rule.agents.includes(chain.at(-1) ?? '')) {
    problems.push('ends with an agent that is not in agents of the rule')
  }
  if (chain.length > 1 && initiators !== undefined && !initiators.includes(chain[0] ?? '')) {
    problems.push('begins with an agent that is not in initiators')
  }
  return problems
}

function findClaimProblems(rule: RuleData, route: RouteKey, report: Report): void {
  const names = route.segments.flatMap((segment) => (segment.kind === 'param' ? [segment.name] : []))
  for (const [pointer, constraint] of Object.entries(rule.claims ?? {})) {
    const place = ['claims', pointer]
    const { some = {} } = constraint
    const params = [
      [place, constraint.param] as const,
      ...Object.entries(some).map(([name, { param }]) => [[...place, 'some', name], param] as const),
    ]
    for (const [path, param] of params) {
      if (param === undefined || names.includes(param)) continue
      const choice = formatChoice(param, names, 'parameter')
      report([...path, 'param'], `the path has no parameter ":${param}"${choice}`)
    }
    findConstraintProblems(constraint, (path, message) => report([...place, ...path], message))
  }
}
