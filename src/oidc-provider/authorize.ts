import { type CheckedChain, checkChain } from './delegation.js'
import { RefusedError } from './refusal.js'
import type { AuthorizationDetail, RecordedApproval, RegisteredAgent, Registry } from './registry.js'
import type { Run, Runs } from './runs.js'
import {
  checkClaimedSteps,
  checkStep,
  readCompletedSteps,
  sequenceHash,
  type WorkflowPosition,
  type Workflows,
} from './workflows.js'

/** A parsed token request. The client is authenticated, and the DPoP proof is verified. */
export interface IntentRequest {
  readonly clientId: string
  /** Thumbprint of the proof's key. The token will be bound to it. */
  readonly thumbprint: string
  readonly agentId: string
  readonly checksum: string
  readonly scopes: readonly string[]
  readonly resource: { readonly id: string; readonly scopes: ReadonlySet<string> }
  readonly workflowId: string | undefined
  readonly step: string | undefined
  readonly completed: readonly string[]
  readonly failed: readonly string[]
  readonly runId: string | undefined
  readonly intentHash: string | undefined
  readonly approvedBy: string | undefined
  readonly delegation: readonly string[]
  readonly maxDepth: number
  /** Records the proof's jti (RFC 9449 section 11.1). Called once, before anything is stored. */
  readonly consumeProof: () => Promise<void>
}

/** The claims of an intent token beyond those of RFC 9068. */
export interface IntentClaims {
  readonly intent: {
    readonly workflow_id?: string
    readonly workflow_step?: string
    readonly executed_by: string
    readonly initiated_by: string
    readonly initiator_type: 'agent' | 'user'
    readonly initiator_jkt?: string
    readonly delegator_jkts?: readonly string[]
    readonly delegation_chain: string
    readonly step_sequence_hash?: string
    readonly intent_hash?: string
    readonly run_id?: string
    readonly delegation?: readonly string[]
  }
  readonly agent_proof: { readonly agent_checksum: string; readonly registration_id: string }
  readonly acr?: string
  readonly amr?: readonly string[]
  readonly auth_time?: number
  readonly authorization_details?: readonly AuthorizationDetail[]
}

export interface Authorization {
  readonly registration: RegisteredAgent
  readonly claims: IntentClaims
  /** Seconds since the epoch: latest expiry of the token, if a delegation limits it. */
  readonly expiresAt: number | undefined
}

export interface GrantParts {
  readonly registry: Registry
  readonly workflows: Workflows
  readonly runs: Runs
  /** Whether to trust `completed_steps` of a request without `run_id`. */
  readonly runsOptional: boolean
}

/**
 * Checks a token request, determines the claims of its token, and records the run, the step and a used
 * approval.
 *
 * @throws RefusedError
 */
export async function authorizeGrant(parts: GrantParts, request: IntentRequest): Promise<Authorization> {
  const { registry, runs } = parts
  const registration = await checkAgent(registry, request)
  const position = await checkStep(parts.workflows, request)
  const chain = await checkDelegation(registry, request)
  const initiatorId = chain?.initiator.id ?? registration.id
  const run = await continuedRun(runs, request, initiatorId)
  let consumed = false
  const consumeProofOnce = async () => {
    if (!consumed) await request.consumeProof()
    consumed = true
  }
  // Stored even if the request is refused below: the step has failed in any case.
  if (run !== undefined && position !== undefined) {
    await recordReportedSteps(runs, run, position, request, consumeProofOnce)
  }

  const step = position?.step
  const completed = position && (await checkOrder(parts, request, position, run))
  const approval = await findApproval(registry, request, initiatorId, run)
  if (approval === undefined && step?.approval !== undefined)
    throw new RefusedError('approval_missing', 'the step needs a recorded approval')
  if (approval === undefined && chain !== undefined && request.intentHash !== undefined)
    throw new RefusedError(
      'approval_missing',
      'the delegation has an intent_hash, but no approval of it is recorded',
    )

  await consumeProofOnce()
  if (step?.approval === 'once' && (await registry.useApproval(approval?.id ?? '')) !== true)
    throw new RefusedError('approval_missing', 'another token request has just used the approval')
  const current = run ?? (await newRun(parts, request, initiatorId, approval))
  if (current !== undefined && step !== undefined) await runs.begin(current, step.id)
  const claims = claimsOf({ request, registration, chain, approval, completed, run: current })
  return { registration, claims, expiresAt: chain?.expiresAt }
}

async function checkAgent(registry: Registry, request: IntentRequest): Promise<RegisteredAgent> {
  const current = await registry.registrations(request.agentId)
  if (current.length === 0) throw new RefusedError('agent_unknown', 'it has no current registration')
  if ((await registry.permitted(request.clientId, request.agentId)) !== true)
    throw new RefusedError('client_not_permitted', 'the client may not act as this agent')
  const registration = current.findLast(({ checksum }) => checksum === request.checksum)
  if (registration === undefined)
    throw new RefusedError(
      'checksum_mismatch',
      `none of ${current.length} current registrations has this checksum`,
    )
  for (const scope of request.scopes) {
    if (!registration.scopes.has(scope)) throw new RefusedError('scope_beyond_agent', `scope ${scope}`)
    if (!request.resource.scopes.has(scope)) throw new RefusedError('scope_beyond_resource', `scope ${scope}`)
  }
  return registration
}

async function checkDelegation(
  registry: Registry,
  request: IntentRequest,
): Promise<CheckedChain | undefined> {
  if (request.delegation.length === 0) return undefined
  return checkChain({
    assertions: request.delegation,
    executor: { id: request.agentId, thumbprint: request.thumbprint },
    audience: request.resource.id,
    scopes: new Set(request.scopes),
    workflowId: request.workflowId,
    intentHash: request.intentHash,
    maxDepth: request.maxDepth,
    async registrationsWithKey(agentId, thumbprint) {
      const current = await registry.registrations(agentId)
      const known = await Promise.all(current.map((one) => registry.knowsKey(one, thumbprint)))
      return current.filter((_, index) => known[index] === true)
    },
  })
}

/** The run that `run_id` names. It must have the same workflow and the same initiator. */
async function continuedRun(
  runs: Runs,
  request: IntentRequest,
  initiatorId: string,
): Promise<Run | undefined> {
  if (request.runId === undefined) return undefined
  const run = await runs.find(request.runId)
  if (run === undefined) throw new RefusedError('run_unknown', 'no such run, or it is too old')
  if (run.workflowId !== request.workflowId)
    throw new RefusedError('run_unknown', 'the run is of another workflow')
  if (run.initiatorId !== initiatorId) throw new RefusedError('run_unknown', 'another agent began the run')
  return run
}

/** Records `failed_steps` and `completed_steps`. Ignores steps without a token, which cannot have ended. */
async function recordReportedSteps(
  runs: Runs,
  run: Run,
  { steps }: WorkflowPosition,
  { completed, failed }: IntentRequest,
  consumeProofOnce: () => Promise<void>,
): Promise<void> {
  for (const { id } of steps) {
    const end = failed.includes(id) ? 'failed' : completed.includes(id) ? 'ended' : undefined
    if (end === undefined) continue
    const state = await runs.stateOf(run, id)
    if (state !== 'begun' && !(state === 'ended' && end === 'failed')) continue
    await consumeProofOnce()
    await runs.report(run, id, end)
  }
}

/** The completed steps that the token asserts. */
async function checkOrder(
  { runs, runsOptional }: GrantParts,
  request: IntentRequest,
  { steps, step }: WorkflowPosition,
  run: Run | undefined,
): Promise<readonly string[]> {
  if (step === undefined) return []
  if (run === undefined && request.completed.length > 0) {
    // Without a run the server has to trust the client about the order of the steps.
    if (!runsOptional)
      throw new RefusedError('run_missing', 'completed_steps needs the run_id of the first token response')
    checkClaimedSteps(steps, step, request.completed)
    return request.completed
  }
  return readCompletedSteps(steps, step, run, runs)
}

async function newRun(
  { runs }: GrantParts,
  { workflowId, completed }: IntentRequest,
  initiatorId: string,
  approval: RecordedApproval | undefined,
): Promise<Run | undefined> {
  // With completed steps the run began elsewhere, and the server has no record of them.
  if (workflowId === undefined || completed.length > 0) return undefined
  return runs.start({ workflowId, initiatorId, user: approval?.user })
}

async function findApproval(
  registry: Registry,
  { intentHash, workflowId, approvedBy }: IntentRequest,
  agentId: string,
  run: Run | undefined,
): Promise<RecordedApproval | undefined> {
  if (intentHash === undefined) return undefined
  if (run?.user !== undefined && approvedBy !== undefined && approvedBy !== run.user)
    throw new RefusedError('approval_missing', 'another person approved the run')
  const user = run?.user ?? approvedBy
  const approval = await registry.approval({ intentHash, agentId, workflowId, user })
  if (approval !== undefined && (await registry.registrations(approval.user)).length > 0)
    throw new RefusedError('person_is_agent', `${approval.user} approved, and is registered as an agent`)
  return approval
}

interface ClaimsInput {
  readonly request: IntentRequest
  readonly registration: RegisteredAgent
  readonly chain: CheckedChain | undefined
  readonly approval: RecordedApproval | undefined
  readonly completed: readonly string[] | undefined
  readonly run: Run | undefined
}

function claimsOf({ request, registration, chain, approval, completed, run }: ClaimsInput): IntentClaims {
  const { workflowId, step } = request
  const { id, checksum, registrationId } = registration
  // With a chain the first delegator is the initiator, without one the person who approved the run.
  const person = chain === undefined ? approval?.user : undefined
  return {
    intent: {
      ...(workflowId !== undefined && { workflow_id: workflowId }),
      ...(step !== undefined && { workflow_step: step, step_sequence_hash: sequenceHash(completed ?? []) }),
      ...(run !== undefined && { run_id: run.id }),
      executed_by: id,
      initiated_by: person ?? chain?.initiator.id ?? id,
      initiator_type: person === undefined ? 'agent' : 'user',
      ...(chain !== undefined && {
        initiator_jkt: chain.initiator.thumbprint,
        delegator_jkts: chain.delegatorKeys,
        delegation: request.delegation,
      }),
      delegation_chain: sequenceHash(chain?.ids ?? [id]),
      ...(approval !== undefined && { intent_hash: approval.intentHash }),
    },
    agent_proof: { agent_checksum: checksum, registration_id: registrationId },
    ...(approval !== undefined && { acr: approval.acr, amr: approval.amr, auth_time: approval.authTime }),
    ...(approval?.details !== undefined && { authorization_details: approval.details }),
  }
}
