import { hashIds } from '../jws/chain-hash.js'
import type { Json, JsonMembers } from '../lib/json.js'
import { isObject } from '../lib/objects.js'
import { isIdentifier } from '../lib/strings.js'
import {
  absentIfNull,
  assertClaim,
  assertHashable,
  readHashableIdentifier,
  readIdentifier,
  readObject,
  readOptional,
  readString,
  readStringArray,
  readThumbprint,
} from './claim-readers.js'

/** The claim `intent` of a token (draft-goswami-agentic-jwt-01). */
export interface Intent {
  readonly workflowId: string | undefined
  readonly step: string | undefined
  readonly executedBy: string | undefined
  readonly initiatedBy: string | undefined
  /** Absent: an agent if there is `delegation` or if `initiatedBy` is the executor, else unknown. */
  readonly initiatorType: 'agent' | 'user' | undefined
  readonly initiatorThumbprint: string | undefined
  /** The key of each delegator, attested by the issuer. One for each assertion, in order. */
  readonly delegatorThumbprints: readonly string[] | undefined
  /** The draft's hash of the agents of the chain. */
  readonly chainHash: string | undefined
  readonly stepSequenceHash: string | undefined
  readonly hash: string | undefined
  /** The run that the token belongs to, as the issuer names it. */
  readonly runId: string | undefined
  /** The delegation assertions, not checked yet: the delegation stage does that. */
  readonly delegation: Json | undefined
}

export const emptyIntent: Intent = Object.freeze({
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

export function readAgentClaims(intent: JsonMembers, agentProof: JsonMembers, sub: string): AgentClaims {
  const { agent_checksum, registration_id } = agentProof
  return {
    intent: readIntent(intent, sub),
    checksum: readString(agent_checksum, 'agent_proof.agent_checksum'),
    registrationId: readIdentifier(registration_id, 'agent_proof.registration_id'),
  }
}

/** Profile `oauth`: claims of these names without the required members mean something else. Ignored. */
export function readOptionalAgentClaims(
  intent: Json | undefined,
  agentProof: Json | undefined,
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

function readIntent(intent: JsonMembers, sub: string): Intent {
  const executedBy = readIdentifier(intent.executed_by, 'intent.executed_by')
  assertClaim(executedBy === sub, 'intent.executed_by', 'the sub of the token', executedBy)
  const initiatedBy = readOptional(readIdentifier, absentIfNull(intent.initiated_by), 'intent.initiated_by')
  const step = absentIfNull(intent.workflow_step)
  const chain = absentIfNull(intent.delegation_chain)
  return {
    workflowId: readOptional(readIdentifier, absentIfNull(intent.workflow_id), 'intent.workflow_id'),
    step: step === undefined ? undefined : readStep(step, sub),
    executedBy,
    initiatedBy,
    chainHash: chain === undefined ? undefined : readChainHash(chain, sub, initiatedBy),
    stepSequenceHash: readOptional(
      readString,
      absentIfNull(intent.step_sequence_hash),
      'intent.step_sequence_hash',
    ),
    hash: readOptional(readString, absentIfNull(intent.intent_hash), 'intent.intent_hash'),
    runId: readOptional(readIdentifier, absentIfNull(intent.run_id), 'intent.run_id'),
    ...readDelegators(intent, initiatedBy),
  }
}

type Delegators = Pick<
  Intent,
  'initiatorType' | 'initiatorThumbprint' | 'delegatorThumbprints' | 'delegation'
>

/** The members by which the issuer attests the delegators. Required if the token has `delegation`. */
function readDelegators(intent: JsonMembers, initiatedBy: string | undefined): Delegators {
  const delegation = absentIfNull(intent.delegation)
  const type = 'intent.initiator_type'
  const jkt = 'intent.initiator_jkt'
  const jkts = 'intent.delegator_jkts'
  const initiatorType = readOptional(readInitiatorType, absentIfNull(intent.initiator_type), type)
  const initiatorThumbprint = readOptional(readThumbprint, absentIfNull(intent.initiator_jkt), jkt)
  const delegatorThumbprints = readOptional(readStringArray, absentIfNull(intent.delegator_jkts), jkts)
  if (delegation !== undefined) {
    const why = 'because the token has delegation'
    assertClaim(initiatedBy !== undefined, 'intent.initiated_by', `an id, ${why}`, initiatedBy)
    assertClaim(initiatorType !== 'user', type, `"agent", ${why}`, initiatorType)
    assertClaim(initiatorThumbprint !== undefined, jkt, `a thumbprint, ${why}`, undefined)
    const needsAll = Array.isArray(delegation) && delegation.length > 1
    const isComplete = !needsAll || delegatorThumbprints !== undefined
    assertClaim(isComplete, jkts, 'a thumbprint for each assertion', undefined)
  }
  return {
    initiatorType,
    initiatorThumbprint,
    delegatorThumbprints,
    delegation,
  }
}

function readStep(step: Json, sub: string): string {
  const name = 'intent.workflow_step'
  if (typeof step === 'string') return readHashableIdentifier(step, name)
  const { agent_id, tool_name, step_id } = readObject(step, name)
  const agentId = absentIfNull(agent_id)
  assertClaim(agentId === undefined || agentId === sub, `${name}.agent_id`, 'the sub of the token', agentId)
  readOptional(readString, absentIfNull(tool_name), `${name}.tool_name`)
  return readHashableIdentifier(step_id, `${name}.step_id`)
}

/** Some issuers send the ids of the chain instead of their hash. Returns the hash in both cases. */
function readChainHash(chain: unknown, sub: string, initiatedBy: string | undefined): string {
  const name = 'intent.delegation_chain'
  assertHashable(sub, 'sub')
  if (typeof chain === 'string') return chain
  const ids = readStringArray(chain, name).map((id) => readHashableIdentifier(id, name))
  const executor = ids.at(-1)
  assertClaim(executor === sub, name, 'a chain that ends with sub', executor)
  const isFromInitiator = initiatedBy === undefined || ids[0] === initiatedBy
  assertClaim(isFromInitiator, name, 'a chain that begins with initiated_by', ids[0])
  return hashIds(ids)
}

function readInitiatorType(value: unknown, claim: string): 'agent' | 'user' {
  assertClaim(value === 'agent' || value === 'user', claim, '"agent" or "user"', value)
  return value
}
