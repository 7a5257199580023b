import { hashIds } from '../jws/chain-hash.js'
import { formatChoice } from '../lib/nearest.js'
import { toArray } from '../lib/to-array.js'
import { findConstraintProblems } from '../policy/constraint.js'
import type { RouteKey } from '../policy/route-key.js'
import type { RuleData } from '../policy/schema.js'
import type { RuleContext } from '../rules/rule.js'

/** Reports a wrong place of a rule, by its path within the rule. */
export type Report = (path: readonly PropertyKey[], message: string) => void

const agentId = /^[^\p{Cc}\p{Cs}]{1,256}$/u

/** What is wrong with an id as a policy writes it, or undefined. */
export function findIdProblem(entry: string, { readId }: Pick<RuleContext, 'readId'>): string | undefined {
  const read = readId(entry)
  if (typeof read === 'string') return read
  return agentId.test(read.id) ? undefined : 'must hold an id of 1 to 256 characters'
}

/** What is wrong with the names in a rule: only a policy knows its issuers, workflows and steps. */
export function findNameProblems(rule: RuleData, context: RuleContext, report: Report): void {
  findIntentProblems(rule, context, report)
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
    const choice = formatChoice(name, names, 'workflow')
    report(
      ['intent', 'workflow'],
      `${JSON.stringify(name)} is not in the policy's workflows, so that its step order would not be checked${choice}`,
    )
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
    if (read.id.includes('|')) report([...place, hop], 'must not hold "|", which joins ids in a hash')
  }
  if (issuers.size > 1) {
    report(
      place,
      "names agents of several issuers: a chain belongs to the token's issuer, so write one for each",
    )
  }
}

/** Conditions that no request can meet: a mistake in the policy, found before the first request is. */
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
    report(['delegation', 'required'], 'cannot hold where maxDepth is 0')
  for (const [index, chain] of chains.entries()) {
    for (const problem of problemsOfChain(chain, rule, maxDepth)) {
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
    report(['delegation', 'chains'], 'lists two chains that have one hash')
  }
  findClaimProblems(rule, route, report)
  if (rule.anonymous === true && rule.mode === 'observe')
    report(['anonymous'], 'has no effect beside mode "observe"')
}

/** Why no request comes by this chain. */
function problemsOfChain(chain: readonly string[], rule: RuleData, maxDepth: number): string[] {
  const { initiators, required } = rule.delegation ?? {}
  const problems: string[] = []
  if (chain.length - 1 > maxDepth) problems.push(`is deeper than maxDepth allows, ${maxDepth}`)
  if (new Set(chain).size < chain.length) problems.push('names an agent twice')
  if (required === true && chain.length === 1) problems.push('is a direct call, which required refuses')
  if (rule.agents !== undefined && !rule.agents.includes(chain.at(-1) ?? '')) {
    problems.push("ends in an agent that the rule's agents do not name")
  }
  if (chain.length > 1 && initiators !== undefined && !initiators.includes(chain[0] ?? '')) {
    problems.push('begins with an agent that initiators does not name')
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
