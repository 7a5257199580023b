import { toArray } from '../lib/to-array.js'
import { compileConstraint } from '../policy/constraint.js'
import { parsePointer, resolvePointer } from '../policy/json-pointer.js'
import type { AppliedRuleData } from '../policy/mcp-schema.js'
import { createIdSet, type ReadId } from '../policy/qualified-id.js'
import type { RuleData } from '../policy/schema.js'
import { type ChallengeDetails, type CheckObserver, describe, Refusal } from '../refusal.js'
import { compileArguments, contentCondition } from './content.js'
import { type ChainsByIssuer, compileDelegation, readChains } from './delegation-conditions.js'
import { type CompiledLimit, compileLimits, type LimitWindows } from './limit.js'
import type { Check, RuleInput } from './rule-input.js'
import { checkScope, type IncludedScopes, readScopes } from './scopes.js'
import { checkPerson, compileUser } from './user-conditions.js'
import type { Workflow } from './workflow.js'

/** The allowed checksums and registrations of an agent, for every route. */
export interface AgentConstraint {
  readonly checksums: ReadonlySet<string> | undefined
  readonly registrationIds: ReadonlySet<string> | undefined
}

/** By issuer, then by agent id. */
export type AgentConstraints = ReadonlyMap<string, ReadonlyMap<string, AgentConstraint>>

/** The parts of a policy that rules refer to. */
export interface RuleContext {
  /** The policy, as the app has passed it. */
  readonly policy: object
  readonly workflows: ReadonlyMap<string, Workflow>
  /** The keys of `workflows`. Undefined if the policy has none: then a rule may name any workflow. */
  readonly workflowNames: readonly string[] | undefined
  readonly agents: AgentConstraints
  /** Reads the ids in `agents`, `initiators`, `chains`. */
  readonly readId: ReadId
  /** Tolerance for clock differences, in seconds. */
  readonly clockTolerance: number
  /** The scopes of the policy that include others. */
  readonly includedScopes: IncludedScopes
  /** The windows of the limits of `routes` that have a name. */
  readonly limitWindows: LimitWindows
}

/** A compiled route rule. */
export interface Rule {
  /** The refusal of the first condition that does not hold. */
  readonly check: Check
  /** The names of its conditions, in the order of `check`: their keys in the policy. */
  readonly conditions: readonly string[]
  /** The required scopes, separated by spaces. Undefined if there are none. */
  readonly scope: string | undefined
  /** The listed chains by issuer. Ids from initiator to executor. */
  readonly chains: ChainsByIssuer | undefined
  /** Whether the hook `authorize` is asked, where there is one. `required`: there must be one. */
  readonly authorize: boolean | 'required'
  /** Whether it has conditions on what the request says: after all others, and before the hook. */
  readonly needsRequest: boolean
  /** Counted after all conditions hold, all of them or none. */
  readonly limits: readonly CompiledLimit[]
  readonly once: boolean
  /** Whether the rule has limits or `once`. */
  readonly usesUp: boolean
  readonly anonymous: boolean | 'foreign'
  readonly mode: 'observe' | 'enforce' | undefined
}

/**
 * Compiles a rule into checks that run in the order of the documentation. `place` says where it stands, in
 * the same words in every process: it tells limits without a name apart.
 */
export function compileRule(rule: AppliedRuleData, context: RuleContext, place: string): Rule {
  const limits = compileLimits(rule.limit, place)
  const scopes = readScopes(rule.scope)
  const chains = rule.delegation?.chains && readChains(rule.delegation.chains, context.readId)
  const checks: Check[] = [
    ...(context.agents.size > 0 ? [checkAgentVersion(context.agents)] : []),
    ...(scopes ? [checkScope(scopes, context.includedScopes)] : []),
    ...(rule.intent ? [checkIntent(rule.intent, context.workflows)] : []),
    ...(rule.agents ? [checkAgent(rule.agents, context.readId)] : []),
    ...compileDelegation(rule.delegation, chains, context.readId),
    ...(rule.user?.sub ? [checkPerson(rule.user.sub, context.readId)] : []),
    ...(rule.user ? compileUser(rule.user, context.clockTolerance) : []),
    ...Object.entries(rule.claims ?? {}).map(([pointer, constraint]) => checkClaim(pointer, constraint)),
    ...compileArguments(rule.arguments),
  ]
  return Object.freeze({
    check: (input: RuleInput, observer?: CheckObserver) => {
      for (const check of checks) {
        const denial = check(input, observer)
        if (denial !== undefined) return denial
      }
      return undefined
    },
    conditions: Object.freeze(conditionsOf(rule, context)),
    scope: scopes?.names.join(' '),
    chains,
    needsRequest: [rule.query, rule.digest || undefined, rule.body].some((each) => each !== undefined),
    authorize: rule.authorize === true ? 'required' : (rule.authorize ?? true),
    limits: Object.freeze(limits),
    once: rule.once === true,
    usesUp: rule.once === true || limits.length > 0,
    anonymous: rule.anonymous ?? false,
    mode: rule.mode,
  })
}

function conditionsOf(rule: AppliedRuleData, { agents, workflows }: RuleContext): string[] {
  const { intent, delegation = {}, user = {}, claims = {} } = rule
  const { required, maxDepth, initiators, chains } = delegation
  const isOrdered = intent !== undefined && workflows.has(intent.workflow)
  const byName: readonly (readonly [name: string, isThere: boolean])[] = [
    ['policy.agents', agents.size > 0],
    ['scope', rule.scope !== undefined],
    ['intent.workflow', intent !== undefined],
    ['intent.step', intent?.step !== undefined],
    ['intent.order', isOrdered],
    ['agents', rule.agents !== undefined],
    ['delegation.required', required === true],
    ['delegation.maxDepth', maxDepth !== undefined],
    ['delegation.initiators', initiators !== undefined],
    ['delegation.chains', chains !== undefined],
    ['user.sub', user.sub !== undefined],
    ['user.acr', user.acr !== undefined],
    ['user.amr', user.amr !== undefined],
    ['user.maxAge', user.maxAge !== undefined],
    ...Object.keys(claims).map((pointer) => [claimCondition(pointer), true] as const),
    ...Object.keys(rule.arguments ?? {}).map(
      (pointer) => [contentCondition('arguments', pointer), true] as const,
    ),
    ['authorize', rule.authorize === true],
    ['limit', rule.limit !== undefined],
    ['once', rule.once === true],
  ]
  return byName.flatMap(([name, isThere]) => (isThere ? [name] : []))
}

function claimCondition(pointer: string): string {
  return `claims[${JSON.stringify(pointer)}]`
}

function checkAgentVersion(agents: AgentConstraints): Check {
  return ({ token }, observer) => {
    const agent = agents.get(token.issuer)?.get(token.agent)
    observer?.begin('policy.agents', 'a version that is listed, where the agent is', token.checksum)
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

function checkIntent(
  intent: NonNullable<RuleData['intent']>,
  workflows: ReadonlyMap<string, Workflow>,
): Check {
  const steps = intent.step === undefined ? undefined : toArray(intent.step)
  const workflow = workflows.get(intent.workflow)
  const needed = { workflow: intent.workflow, step: steps?.join(' ') }
  return ({ token: { intent: claimed } }, observer) => {
    const { workflowId, step, stepSequenceHash } = claimed
    observer?.begin('intent.workflow', intent.workflow, workflowId ?? 'no workflow')
    if (workflowId !== intent.workflow) {
      return new Refusal(
        'workflow_not_allowed',
        {
          reason: 'the rule is for another workflow than the token',
          claim: 'intent.workflow_id',
          expected: intent.workflow,
          found: describe(workflowId),
        },
        needed,
      )
    }
    if (steps !== undefined) observer?.begin('intent.step', steps.join(' or '), step ?? 'no step')
    if (steps !== undefined && !(step !== undefined && steps.includes(step)))
      return wrongStep('the rule does not list the step of the token', steps, step, needed)
    if (workflow === undefined) return undefined
    observer?.begin('intent.order', `the hash of the steps before ${step}`, stepSequenceHash ?? 'no hash')
    return checkOrder(workflow, step, stepSequenceHash)
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

function wrongStep(
  reason: string,
  steps: readonly string[],
  step: string | undefined,
  needed?: ChallengeDetails,
): Refusal {
  const expected = describe(steps.join(' or '))
  const cause = { reason, claim: 'intent.workflow_step', expected, found: describe(step) }
  return new Refusal('step_not_allowed', cause, needed)
}

function checkAgent(entries: readonly string[], readId: ReadId): Check {
  const agents = createIdSet(entries, readId)
  const isQualified = entries.some((entry) => {
    const read = readId(entry)
    return typeof read === 'object' && read.id !== entry
  })
  return ({ token }, observer) => {
    const nameOf = () => (isQualified ? `${token.issuer} ${token.agent}` : token.agent)
    observer?.begin('agents', entries.join(' or '), nameOf())
    if (agents.has(token.issuer, token.agent)) return undefined
    return new Refusal('agent_not_allowed', {
      reason: 'the rule does not list this agent',
      claim: token.names.agent,
      expected: describe(entries.join(' or ')),
      found: describe(nameOf()),
    })
  }
}

function isLiteralText(value: unknown): boolean {
  return typeof value === 'string' && /^(-?\d[\d.eE+-]*|true|false|null|)$/.test(value)
}

function checkClaim(pointer: string, constraint: NonNullable<RuleData['claims']>[string]): Check {
  const path = parsePointer(pointer)
  const isMet = compileConstraint(constraint)
  const expected = describe(JSON.stringify(constraint))
  const name = claimCondition(pointer)
  return ({ token, params }, observer) => {
    const value = resolvePointer(token.claims, path)
    observer?.begin(name, expected, value ?? 'nothing')
    if (isMet(value, params)) return undefined
    return new Refusal('claim_not_allowed', {
      reason: 'the claim does not meet the constraint of the rule',
      claim: describe(pointer),
      expected,
      // A text that looks like a number or a literal meets no constraint on one.
      found: describe(isLiteralText(value) ? JSON.stringify(value) : value),
    })
  }
}
