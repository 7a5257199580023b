import type { Json } from '../decision.js'
import { hashIds } from '../jws/chain-hash.js'
import { isObject } from '../lib/own.js'
import { isIdentifier } from '../lib/strings.js'
import {
  absentIfNull,
  assertClaim,
  identifier,
  object,
  optional,
  strings,
  text,
  thumbprint,
  withoutBar,
} from './claim-readers.js'

/** `intent` of a token (draft-goswami-agentic-jwt-01), every member of its type. */
export interface Intent {
  readonly workflowId: string | undefined
  readonly step: string | undefined
  readonly executedBy: string | undefined
  readonly initiatedBy: string | undefined
  /** Absent: an agent beside `delegation` or where `initiatedBy` is the executor, else unknown. */
  readonly initiatorType: 'agent' | 'user' | undefined
  readonly initiatorThumbprint: string | undefined
  /** The key of each delegator, as the issuer knows it: one for each assertion, in order. */
  readonly delegatorThumbprints: readonly string[] | undefined
  /** The draft's hash over the agents of the chain. */
  readonly chainHash: string | undefined
  readonly stepSequenceHash: string | undefined
  readonly hash: string | undefined
  /** The run that the token belongs to, named by the issuer. */
  readonly runId: string | undefined
  /** The delegation assertions, whatever they are: judged at a stage of their own. */
  readonly delegation: Json | undefined
}

export const noIntent: Intent = Object.freeze({
  workflowId: undefined,
  step: undefined,
  executedBy: undefined,
  initiatedBy: undefined,
  initiatorType: undefined,
  initiatorThumbprint: undefined,
  delegatorThumbprints: undefined,
  chainHash: undefined,
  stepSequenceHash: undefined,
  hash: undefined,
  runId: undefined,
  delegation: undefined,
})

export interface AgentClaims {
  readonly intent: Intent
  readonly checksum: string
  readonly registrationId: string
}

export function readAgentClaims(
  intent: Record<string, unknown>,
  agentProof: Record<string, unknown>,
  sub: string,
): AgentClaims {
  const { agent_checksum, registration_id } = agentProof
  return {
    intent: readIntent(intent, sub),
    checksum: text(agent_checksum, 'agent_proof.agent_checksum'),
    registrationId: identifier(registration_id, 'agent_proof.registration_id'),
  }
}

/** Under profile `oauth` both claims are read where both have their required members, else they mean something else. */
export function readOptionalAgentClaims(
  intent: unknown,
  agentProof: unknown,
  sub: string,
): AgentClaims | undefined {
  if (!isObject(intent) || !isObject(agentProof)) return undefined
  const { executed_by } = intent
  const { agent_checksum, registration_id } = agentProof
  const isComplete =
    isIdentifier(executed_by) &&
    isIdentifier(registration_id) &&
    typeof agent_checksum === 'string' &&
    agent_checksum !== ''
  return isComplete ? readAgentClaims(intent, agentProof, sub) : undefined
}

function readIntent(value: Record<string, unknown>, sub: string): Intent {
  const intent = value
  const executedBy = identifier(intent.executed_by, 'intent.executed_by')
  assertClaim(executedBy === sub, 'intent.executed_by', 'the sub of the token', executedBy)
  const initiatedBy = optional(identifier, absentIfNull(intent.initiated_by), 'intent.initiated_by')
  const step = absentIfNull(intent.workflow_step)
  const chain = absentIfNull(intent.delegation_chain)
  return {
    workflowId: optional(identifier, absentIfNull(intent.workflow_id), 'intent.workflow_id'),
    step: step === undefined ? undefined : readStep(step, sub),
    executedBy,
    initiatedBy,
    chainHash: chain === undefined ? undefined : readChain(chain, sub, initiatedBy),
    stepSequenceHash: optional(text, absentIfNull(intent.step_sequence_hash), 'intent.step_sequence_hash'),
    hash: optional(text, absentIfNull(intent.intent_hash), 'intent.intent_hash'),
    runId: optional(identifier, absentIfNull(intent.run_id), 'intent.run_id'),
    ...readDelegators(intent, initiatedBy),
  }
}

type Delegators = Pick<
  Intent,
  'initiatorType' | 'initiatorThumbprint' | 'delegatorThumbprints' | 'delegation'
>

/** The issuer's word on who has delegated: needed where `delegation` is there. */
function readDelegators(
  intent: Readonly<Record<string, unknown>>,
  initiatedBy: string | undefined,
): Delegators {
  const delegation = absentIfNull(intent.delegation)
  const initiatorType = optional(agentOrUser, absentIfNull(intent.initiator_type), 'intent.initiator_type')
  const jkt = 'intent.initiator_jkt'
  const initiatorThumbprint = optional(thumbprint, absentIfNull(intent.initiator_jkt), jkt)
  const jkts = 'intent.delegator_jkts'
  const delegatorThumbprints = optional(strings, absentIfNull(intent.delegator_jkts), jkts)
  if (delegation !== undefined) {
    assertClaim(initiatedBy !== undefined, 'intent.initiated_by', 'an id beside delegation', initiatedBy)
    assertClaim(initiatorType !== 'user', 'intent.initiator_type', '"agent" beside delegation', initiatorType)
    assertClaim(initiatorThumbprint !== undefined, jkt, 'a thumbprint beside delegation', undefined)
    const isChain = Array.isArray(delegation) && delegation.length > 1
    assertClaim(
      !isChain || delegatorThumbprints !== undefined,
      jkts,
      'a thumbprint for each assertion',
      undefined,
    )
  }
  return {
    initiatorType,
    initiatorThumbprint,
    delegatorThumbprints,
    delegation: delegation as Json | undefined,
  }
}

function readStep(step: unknown, sub: string): string {
  const name = 'intent.workflow_step'
  if (typeof step === 'string') return withoutBar(identifier(step, name), name)
  const { agent_id, tool_name, step_id } = object(step, name)
  const agentId = absentIfNull(agent_id)
  assertClaim(agentId === undefined || agentId === sub, `${name}.agent_id`, 'the sub of the token', agentId)
  optional(text, absentIfNull(tool_name), `${name}.tool_name`)
  return withoutBar(identifier(step_id, `${name}.step_id`), `${name}.step_id`)
}

/** Some issuers send the ids of the chain in place of their hash; they count as the chain they hash to. */
function readChain(chain: unknown, sub: string, initiatedBy: string | undefined): string {
  const name = 'intent.delegation_chain'
  withoutBar(sub, 'sub')
  if (typeof chain === 'string') return chain
  const ids = strings(chain, name).map((id) => withoutBar(identifier(id, name), name))
  assertClaim(
    ids.length > 0 && ids[ids.length - 1] === sub,
    name,
    'a chain that ends in sub',
    ids[ids.length - 1],
  )
  const isFromInitiator = initiatedBy === undefined || ids[0] === initiatedBy
  assertClaim(isFromInitiator, name, 'a chain that begins with initiated_by', ids[0])
  return hashIds(ids)
}

function agentOrUser(value: unknown, claim: string): 'agent' | 'user' {
  assertClaim(value === 'agent' || value === 'user', claim, '"agent" or "user"', value)
  return value
}
