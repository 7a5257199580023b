import type { Json } from '../decision.js'
import type { Delegation } from '../delegation/delegation.js'
import type { DenialCode } from '../denials.js'
import { createIdSet, type ReadId } from '../policy/qualified-id.js'
import type { RuleData } from '../policy/schema.js'
import type { Consumed } from '../replay.js'
import type { IntentToken } from '../token/intent-token.js'
import { isSameJson, parsePointer, resolvePointer } from './json-pointer.js'
import type { Workflow } from './workflow.js'

/** What a challenge says beyond its error (RFC 6750 section 3, RFC 9470 section 3). */
export interface ChallengeDetails {
  readonly scope?: string | undefined
  readonly acrValues?: string | undefined
  readonly maxAge?: number | undefined
}

/** What a rule judges: all of it verified. */
export interface RuleSubject {
  readonly token: IntentToken
  readonly delegation: Delegation
  readonly params: { readonly [name: string]: string }
  /** Seconds since the epoch. */
  readonly now: number
  /** What the request has used up so far. */
  readonly consumed: Consumed[] | undefined
}

/** A rule that does not hold. */
export interface RuleDenial {
  readonly code: DenialCode
  readonly details: ChallengeDetails | undefined
}

type Check = (subject: RuleSubject) => RuleDenial | undefined

/** Versions and registrations that an agent is held to on every route. */
export interface AgentConstraint {
  readonly checksums: ReadonlySet<string> | undefined
  readonly registrationIds: ReadonlySet<string> | undefined
}

/** By issuer, then by the agent's id. */
export type AgentConstraints = ReadonlyMap<string, ReadonlyMap<string, AgentConstraint>>

/** What rules refer to: the parts of a policy that are the same for all routes. */
export interface RuleContext {
  readonly workflows: ReadonlyMap<string, Workflow>
  /** The keys of `workflows`; undefined where the policy has none, and a rule may name any. */
  readonly workflowNames: readonly string[] | undefined
  readonly agents: AgentConstraints
  /** Reads the ids in `agents`, `initiators`, `chains`. */
  readonly readId: ReadId
  /** Seconds by which clocks may differ. */
  readonly clockTolerance: number
}

export type ChainsByIssuer = ReadonlyMap<string, readonly (readonly string[])[]>

/** A rule whose conditions were turned into checks. */
export interface Rule {
  readonly check: Check
  /** The scopes it needs, as a challenge writes them; undefined where it needs none. */
  readonly scope: string | undefined
  /** The chains it lists, by issuer; ids from initiator to executor. */
  readonly chains: ChainsByIssuer | undefined
  readonly once: boolean
  readonly anonymous: boolean
  readonly mode: 'observe' | 'enforce' | undefined
}

/** Turns a rule's data into one check that names the first condition that does not hold. */
export function compileRule(rule: RuleData, context: RuleContext): Rule {
  const scopes = list(rule.scope)
  const chains = rule.delegation?.chains && readChains(rule.delegation.chains, context.readId)
  const checks: Check[] = [
    checkAgentVersion(context.agents),
    ...(scopes ? [checkScope(scopes)] : []),
    ...(rule.intent ? [checkIntent(rule.intent, context.workflows)] : []),
    ...(rule.agents ? [checkAgent(rule.agents, context.readId)] : []),
    ...(rule.delegation ? [checkDelegation(rule.delegation, chains, context.readId)] : []),
    ...(rule.user ? [checkUser(rule.user, context.clockTolerance)] : []),
    ...Object.entries(rule.claims ?? {}).map(([pointer, constraint]) => checkClaim(pointer, constraint)),
  ]
  return Object.freeze({
    check: (subject: RuleSubject) => {
      for (const check of checks) {
        const denial = check(subject)
        if (denial !== undefined) return denial
      }
      return undefined
    },
    scope: scopes?.join(' '),
    chains,
    once: rule.once === true,
    anonymous: rule.anonymous === true,
    mode: rule.mode,
  })
}

function checkAgentVersion(agents: AgentConstraints): Check {
  return ({ token }) => {
    const agent = agents.get(token.issuer)?.get(token.sub)
    if (agent === undefined) return undefined
    if (
      agent.checksums !== undefined &&
      !(token.checksum !== undefined && agent.checksums.has(token.checksum))
    ) {
      return deny('agent_checksum_not_allowed')
    }
    const { registrationIds } = agent
    if (registrationIds === undefined) return undefined
    if (token.registrationId !== undefined && registrationIds.has(token.registrationId)) return undefined
    return deny('agent_not_allowed')
  }
}

function checkScope(scopes: readonly string[]): Check {
  const denial: RuleDenial = { code: 'scope_insufficient', details: { scope: scopes.join(' ') } }
  return ({ token }) => (scopes.every((scope) => token.scopes.includes(scope)) ? undefined : denial)
}

function checkIntent(
  intent: NonNullable<RuleData['intent']>,
  workflows: ReadonlyMap<string, Workflow>,
): Check {
  const steps = list(intent.step)
  const workflow = workflows.get(intent.workflow)
  return ({ token: { intent: claimed } }) => {
    if (claimed.workflowId !== intent.workflow) return deny('workflow_not_allowed')
    if (steps !== undefined && !(claimed.step !== undefined && steps.includes(claimed.step))) {
      return deny('step_not_allowed')
    }
    if (workflow === undefined) return undefined
    const hashes = claimed.step === undefined ? undefined : workflow.get(claimed.step)
    if (hashes === undefined) return deny('step_not_allowed')
    if (claimed.stepSequenceHash !== undefined && hashes.has(claimed.stepSequenceHash)) return undefined
    return deny('step_out_of_order')
  }
}

function checkAgent(entries: readonly string[], readId: ReadId): Check {
  const agents = createIdSet(entries, readId)
  return ({ token }) => (agents.has(token.issuer, token.sub) ? undefined : deny('agent_not_allowed'))
}

/** A chain that cannot be read is not listed: where it stands is reported by `findNameProblems`. */
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
  return ({ token: { issuer }, delegation }) => {
    if (rule.required === true && delegation.depth === 0) return deny('delegation_required')
    const isAllowed =
      delegation.depth <= (rule.maxDepth ?? Number.POSITIVE_INFINITY) &&
      (initiators === undefined || initiators.has(issuer, delegation.initiator)) &&
      (chains === undefined || chains.get(issuer)?.some((ids) => isSameList(ids, delegation.agents)) === true)
    return isAllowed ? undefined : deny('delegation_not_allowed')
  }
}

function isSameList(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((item, index) => item === other[index])
}

function checkUser(rule: NonNullable<RuleData['user']>, clockTolerance: number): Check {
  const denial: RuleDenial = {
    code: 'user_authentication_required',
    details: { acrValues: rule.acr?.join(' '), maxAge: rule.maxAge },
  }
  return ({ token: { user }, now }) => {
    const { acr, amr, authTime } = user
    if (rule.acr !== undefined && !(acr !== undefined && rule.acr.includes(acr))) return denial
    if (rule.amr !== undefined && !rule.amr.every((method) => amr?.includes(method))) return denial
    if (rule.maxAge === undefined) return undefined
    if (authTime === undefined || authTime > now + clockTolerance) return denial
    return now - authTime <= rule.maxAge ? undefined : denial
  }
}

function checkClaim(pointer: string, constraint: NonNullable<RuleData['claims']>[string]): Check {
  const path = parsePointer(pointer)
  const denial = deny('claim_not_allowed')
  const { equals, in: oneOf, min, max, exists, param } = constraint
  const hasEquals = Object.hasOwn(constraint, 'equals')
  return ({ token, params }) => {
    const value = resolvePointer(token.claims as Json, path)
    if (exists === false) return value === undefined ? undefined : denial
    if (value === undefined) return denial
    if (hasEquals && !isSameJson(value, equals as Json)) return denial
    if (oneOf?.some((candidate) => isSameJson(value, candidate as Json)) === false) return denial
    if (min !== undefined && !(typeof value === 'number' && value >= min)) return denial
    if (max !== undefined && !(typeof value === 'number' && value <= max)) return denial
    if (param !== undefined && !isParameter(value, params, param)) return denial
    return undefined
  }
}

function deny(code: DenialCode): RuleDenial {
  return { code, details: undefined }
}

/** A parameter is text: a claim equals it as a string, or as the decimal form of an exact integer. */
function isParameter(value: Json, params: RuleSubject['params'], name: string): boolean {
  if (!Object.hasOwn(params, name)) return false
  if (typeof value === 'string') return value === params[name]
  return Number.isSafeInteger(value) && String(value) === params[name]
}

function list<T>(value: T | readonly T[] | undefined): readonly T[] | undefined {
  if (value === undefined) return undefined
  return Array.isArray(value) ? value : [value as T]
}
