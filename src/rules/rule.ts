import type { Delegation } from '../delegation/delegation.js'
import { toArray } from '../lib/to-array.js'
import { compileConstraint } from '../policy/constraint.js'
import { parsePointer, resolvePointer } from '../policy/json-pointer.js'
import { createIdSet, type ReadId } from '../policy/qualified-id.js'
import type { RuleData } from '../policy/schema.js'
import { type Cause, describe, Refusal } from '../refusal.js'
import type { Consumed } from '../stores/replay.js'
import type { TokenClaims } from '../token/claims.js'
import type { Workflow } from './workflow.js'

/** The verified facts of a request that a rule checks. */
export interface RuleInput {
  readonly token: TokenClaims
  readonly delegation: Delegation
  readonly params: { readonly [name: string]: string }
  /** Seconds since the epoch. */
  readonly now: number
  /** The ids that this request has consumed: it may consume them again. */
  readonly consumed: Consumed[] | undefined
}

type Check = (input: RuleInput) => Refusal | undefined

/** The allowed checksums and registrations of an agent, for every route. */
export interface AgentConstraint {
  readonly checksums: ReadonlySet<string> | undefined
  readonly registrationIds: ReadonlySet<string> | undefined
}

/** By issuer, then by agent id. */
export type AgentConstraints = ReadonlyMap<string, ReadonlyMap<string, AgentConstraint>>

/** The parts of a policy that rules refer to. */
export interface RuleContext {
  readonly workflows: ReadonlyMap<string, Workflow>
  /** The keys of `workflows`. Undefined if the policy has none: then a rule may name any workflow. */
  readonly workflowNames: readonly string[] | undefined
  readonly agents: AgentConstraints
  /** Reads the ids in `agents`, `initiators`, `chains`. */
  readonly readId: ReadId
  /** Tolerance for clock differences, in seconds. */
  readonly clockTolerance: number
}

export type ChainsByIssuer = ReadonlyMap<string, readonly (readonly string[])[]>

/** A compiled route rule. */
export interface Rule {
  /** The refusal of the first condition that does not hold. */
  readonly check: Check
  /** The required scopes, separated by spaces. Undefined if there are none. */
  readonly scope: string | undefined
  /** The listed chains by issuer. Ids from initiator to executor. */
  readonly chains: ChainsByIssuer | undefined
  readonly once: boolean
  readonly anonymous: boolean | 'foreign'
  readonly mode: 'observe' | 'enforce' | undefined
}

/** Compiles a rule into checks that run in the order of the documentation. */
export function compileRule(rule: RuleData, context: RuleContext): Rule {
  const scopes = readScopes(rule.scope)
  const chains = rule.delegation?.chains && readChains(rule.delegation.chains, context.readId)
  const checks: Check[] = [
    checkAgentVersion(context.agents),
    ...(scopes ? [checkScope(scopes)] : []),
    ...(rule.intent ? [checkIntent(rule.intent, context.workflows)] : []),
    ...(rule.agents ? [checkAgent(rule.agents, context.readId)] : []),
    ...(rule.delegation ? [checkDelegation(rule.delegation, chains, context.readId)] : []),
    ...(rule.user?.sub ? [checkPerson(rule.user.sub, context.readId)] : []),
    ...(rule.user ? [checkUser(rule.user, context.clockTolerance)] : []),
    ...Object.entries(rule.claims ?? {}).map(([pointer, constraint]) => checkClaim(pointer, constraint)),
  ]
  return Object.freeze({
    check: (input: RuleInput) => {
      for (const check of checks) {
        const denial = check(input)
        if (denial !== undefined) return denial
      }
      return undefined
    },
    scope: scopes?.names.join(' '),
    chains,
    once: rule.once === true,
    anonymous: rule.anonymous ?? false,
    mode: rule.mode,
  })
}

function checkAgentVersion(agents: AgentConstraints): Check {
  return ({ token }) => {
    const agent = agents.get(token.issuer)?.get(token.agent)
    if (agent === undefined) return undefined
    const { checksums, registrationIds } = agent
    if (checksums !== undefined && !(token.checksum !== undefined && checksums.has(token.checksum))) {
      return new Refusal('agent_checksum_not_allowed', {
        reason: "the agent's checksum is not in agents of the policy",
        claim: 'agent_proof.agent_checksum',
        expected: describe([...checksums].join(' or ')),
        found: describe(token.checksum),
      })
    }
    if (registrationIds === undefined) return undefined
    if (token.registrationId !== undefined && registrationIds.has(token.registrationId)) return undefined
    return new Refusal('agent_not_allowed', {
      reason: "the agent's registration is not in agents of the policy",
      claim: 'agent_proof.registration_id',
      expected: describe([...registrationIds].join(' or ')),
      found: describe(token.registrationId),
    })
  }
}

interface RequiredScopes {
  readonly names: readonly string[]
  /** Whether one of the scopes is enough. */
  readonly isAnyEnough: boolean
}

function readScopes(scope: RuleData['scope']): RequiredScopes | undefined {
  if (scope === undefined) return undefined
  if (typeof scope === 'object' && 'any' in scope) return { names: scope.any, isAnyEnough: true }
  return { names: toArray(scope), isAnyEnough: false }
}

function checkScope({ names: scopes, isAnyEnough }: RequiredScopes): Check {
  const expected = describe(scopes.join(isAnyEnough ? ' or ' : ' '))
  return ({ token }) => {
    const has = (scope: string) => token.scopes.includes(scope)
    if (isAnyEnough ? scopes.some(has) : scopes.every(has)) return undefined
    const missing = scopes.filter((scope) => !has(scope)).join(isAnyEnough ? ' or ' : ' ')
    const cause: Cause = {
      reason: `the token does not have the scope ${describe(missing)}`,
      claim: token.names.scope,
      expected,
      found: describe(token.scopes.join(' ')),
    }
    return new Refusal('scope_insufficient', cause, { scope: scopes.join(' ') })
  }
}

function checkIntent(
  intent: NonNullable<RuleData['intent']>,
  workflows: ReadonlyMap<string, Workflow>,
): Check {
  const steps = intent.step === undefined ? undefined : toArray(intent.step)
  const workflow = workflows.get(intent.workflow)
  return ({ token: { intent: claimed } }) => {
    const { workflowId, step, stepSequenceHash } = claimed
    if (workflowId !== intent.workflow) {
      return new Refusal('workflow_not_allowed', {
        reason: 'the rule is for another workflow than the token',
        claim: 'intent.workflow_id',
        expected: intent.workflow,
        found: describe(workflowId),
      })
    }
    if (steps !== undefined && !(step !== undefined && steps.includes(step)))
      return wrongStep('the rule does not list the step of the token', steps, step)
    return workflow && checkOrder(workflow, step, stepSequenceHash)
  }
}

/** Checks that the workflow has the step, and that the completed steps can come before it. */
function checkOrder(
  workflow: Workflow,
  step: string | undefined,
  stepSequenceHash: string | undefined,
): Refusal | undefined {
  const hashes = step === undefined ? undefined : workflow.get(step)
  if (hashes === undefined)
    return wrongStep('the workflow in the policy does not have this step', [...workflow.keys()], step)
  if (stepSequenceHash !== undefined && hashes.has(stepSequenceHash)) return undefined
  return new Refusal('step_out_of_order', {
    reason:
      stepSequenceHash === undefined
        ? 'the token has no hash of the completed steps'
        : 'the completed steps are not the steps before this one',
    claim: 'intent.step_sequence_hash',
    expected: describe(`the hash of the steps before ${step}`),
    found: describe(stepSequenceHash),
  })
}

function wrongStep(reason: string, steps: readonly string[], step: string | undefined): Refusal {
  const expected = describe(steps.join(' or '))
  const cause = { reason, claim: 'intent.workflow_step', expected, found: describe(step) }
  return new Refusal('step_not_allowed', cause)
}

function checkAgent(entries: readonly string[], readId: ReadId): Check {
  const agents = createIdSet(entries, readId)
  return ({ token }) => {
    if (agents.has(token.issuer, token.agent)) return undefined
    return new Refusal('agent_not_allowed', {
      reason: 'the rule does not list this agent',
      claim: token.names.agent,
      expected: describe(entries.join(' or ')),
      found: describe(token.agent),
    })
  }
}

/** Leaves out chains with invalid ids. `findNameProblems` reports them. */
function readChains(chains: readonly (readonly string[])[], readId: ReadId): ChainsByIssuer {
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

function checkDelegation(
  rule: NonNullable<RuleData['delegation']>,
  chains: ChainsByIssuer | undefined,
  readId: ReadId,
): Check {
  const initiators = rule.initiators && createIdSet(rule.initiators, readId)
  const maxDepth = rule.maxDepth ?? Number.POSITIVE_INFINITY
  return ({ token: { issuer }, delegation }) => {
    const { depth, initiator, agents, isInitiatedByAgent } = delegation
    if (rule.required === true && depth === 0)
      return new Refusal('delegation_required', { reason: 'the call is direct: the token has no chain' })
    if (depth > maxDepth)
      return notAllowed('the chain is too deep', `at most ${maxDepth} hops`, `${depth} hops`)
    // A person can have the same name as an agent.
    if ((initiators !== undefined || chains !== undefined) && !isInitiatedByAgent)
      return notAllowed('the initiator is not known to be an agent', 'an agent', initiator)
    if (initiators !== undefined && !initiators.has(issuer, initiator))
      return notAllowed('the rule does not list this initiator', rule.initiators?.join(' or '), initiator)
    if (chains === undefined || isListed(chains.get(issuer), agents, initiator)) return undefined
    return notAllowed('the rule does not list this chain', rule.chains?.join(' or '), agents.join(','))
  }
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

/** The issuer must say that the name is a person's: an agent can have the same name. */
function checkPerson(entries: readonly string[], readId: ReadId): Check {
  const people = createIdSet(entries, readId)
  return ({ token: { issuer, intent, agent, subject, names } }) => {
    // Profile `oauth`: an agent acts for the subject if the two are different.
    const principal = intent.executedBy === undefined && subject !== agent ? subject : undefined
    const person = intent.initiatorType === 'user' ? intent.initiatedBy : principal
    if (person !== undefined && people.has(issuer, person)) return undefined
    return new Refusal('claim_not_allowed', {
      reason: person === undefined ? 'the token names no person' : 'the rule does not list this person',
      claim: principal === undefined || person !== principal ? 'intent.initiated_by' : names.subject,
      expected: describe(entries.join(' or ')),
      found: describe(person),
    })
  }
}

function checkUser(rule: NonNullable<RuleData['user']>, clockTolerance: number): Check {
  const details = { acrValues: rule.acr?.join(' '), maxAge: rule.maxAge }
  const stepUp = (claim: string, expected: string, found: string) => {
    const reason = `${claim} does not show the authentication that the rule requires`
    const cause = { reason, claim, expected: describe(expected), found: describe(found) }
    return new Refusal('user_authentication_required', cause, details)
  }
  return ({ token: { user }, now }) => {
    const { acr, amr, authTime } = user
    if (rule.acr !== undefined && !(acr !== undefined && rule.acr.includes(acr)))
      return stepUp('acr', rule.acr.join(' or '), describe(acr))
    if (rule.amr !== undefined && !rule.amr.every((method) => amr?.includes(method)))
      return stepUp('amr', rule.amr.join(' and '), describe(amr?.join(' ')))
    if (rule.maxAge === undefined) return undefined
    if (authTime !== undefined && authTime <= now + clockTolerance && now - authTime <= rule.maxAge)
      return undefined
    return stepUp('auth_time', `at most ${rule.maxAge} s ago`, describe(authTime))
  }
}

function checkClaim(pointer: string, constraint: NonNullable<RuleData['claims']>[string]): Check {
  const path = parsePointer(pointer)
  const isMet = compileConstraint(constraint)
  const expected = describe(JSON.stringify(constraint))
  return ({ token, params }) => {
    const value = resolvePointer(token.claims, path)
    if (isMet(value, params)) return undefined
    return new Refusal('claim_not_allowed', {
      reason: 'the claim does not meet the constraint of the rule',
      claim: describe(pointer),
      expected,
      found: describe(value),
    })
  }
}
