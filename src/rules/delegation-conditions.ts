import type { Delegation } from '../delegation/delegation.js'
import { createIdSet, type ReadId } from '../policy/qualified-id.js'
import type { RuleData } from '../policy/schema.js'
import { describe, Refusal } from '../refusal.js'
import type { Check } from './rule-input.js'

export type ChainsByIssuer = ReadonlyMap<string, readonly (readonly string[])[]>

/** Leaves out chains with invalid ids. `findNameProblems` reports them. */
export function readChains(chains: readonly (readonly string[])[], readId: ReadId): ChainsByIssuer {
  const byIssuer = new Map<string, (readonly string[])[]>()
  for (const chain of chains) {
    const read = chain.map(readId)
    const ids = read.flatMap((entry) => (typeof entry === 'string' ? [] : [entry]))
    const issuer = ids[0]?.issuer
    if (issuer === undefined || ids.length < read.length || ids.some((id) => id.issuer !== issuer)) continue
    byIssuer.set(issuer, [...(byIssuer.get(issuer) ?? []), ids.map(({ id }) => id)])
  }
  return byIssuer
}

export function compileDelegation(
  rule: RuleData['delegation'],
  chains: ChainsByIssuer | undefined,
  readId: ReadId,
): readonly Check[] {
  if (rule === undefined) return []
  return [
    ...(rule.required === true ? [checkIsDelegated()] : []),
    ...(rule.maxDepth === undefined ? [] : [checkDepth(rule.maxDepth)]),
    ...(rule.initiators === undefined ? [] : [checkInitiator(rule.initiators, readId)]),
    ...(rule.chains === undefined || chains === undefined ? [] : [checkChain(rule.chains, chains)]),
  ]
}

function checkIsDelegated(): Check {
  return ({ delegation: { depth } }, observer) => {
    observer?.begin('delegation.required', 'a chain', `${depth} hops`)
    if (depth > 0) return undefined
    const reason = 'the call is direct: the token has no chain'
    return new Refusal('delegation_required', { reason, claim: 'intent.delegation' })
  }
}

function checkDepth(maxDepth: number): Check {
  return ({ delegation: { depth } }, observer) => {
    observer?.begin('delegation.maxDepth', `at most ${maxDepth} hops`, `${depth} hops`)
    if (depth <= maxDepth) return undefined
    return notAllowed('the chain is too deep', `at most ${maxDepth} hops`, `${depth} hops`)
  }
}

function checkInitiator(entries: readonly string[], readId: ReadId): Check {
  const initiators = createIdSet(entries, readId)
  const expected = entries.join(' or ')
  return ({ token: { issuer }, delegation }, observer) => {
    observer?.begin('delegation.initiators', expected, delegation.initiator)
    if (!delegation.isInitiatedByAgent) return notByAgent(delegation)
    if (initiators.has(issuer, delegation.initiator)) return undefined
    return notAllowed('the rule does not list this initiator', expected, delegation.initiator)
  }
}

function checkChain(entries: readonly (readonly string[])[], chains: ChainsByIssuer): Check {
  const expected = entries.join(' or ')
  return ({ token: { issuer }, delegation }, observer) => {
    const { agents, initiator } = delegation
    observer?.begin('delegation.chains', expected, agents.join(','))
    if (!delegation.isInitiatedByAgent) return notByAgent(delegation)
    if (isListed(chains.get(issuer), agents, initiator)) return undefined
    return notAllowed('the rule does not list this chain', expected, agents.join(','))
  }
}

/** A person can have the same name as an agent. */
function notByAgent({ initiator }: Delegation): Refusal {
  return notAllowed('the initiator is not known to be an agent', 'an agent', initiator)
}

function isListed(
  chains: readonly (readonly string[])[] | undefined,
  agents: readonly string[],
  initiator: string,
): boolean {
  return agents[0] === initiator && chains?.some((ids) => isSameList(ids, agents)) === true
}

function isSameList(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((item, index) => item === other[index])
}

function notAllowed(reason: string, expected: string | undefined, found: string): Refusal {
  const cause = { reason, claim: 'intent', expected: describe(expected), found: describe(found) }
  return new Refusal('delegation_not_allowed', cause)
}
