import type { Hop } from '../delegation/chain.js'
import { AgentDelegationError } from '../errors.js'
import { parseAudience, parseScope, parseSha256, parseStepId, parseWorkflowId } from '../http/grammar.js'
import type { ServerRun } from '../tokens/server-run.js'

/** The purpose of one request. The client requests a token for exactly this. */
export interface AgentIntent {
  /** The scopes that this request needs. */
  scope: string | readonly string[]
  /**
   * The API's audience (RFC 8707). Default: the client's `resource`, else the URL's origin. The URL must be
   * at the origin of the resource, or at an origin that the client's option `origins` lists for it.
   */
  resource?: string
  /** Workflow, step and completed steps. Inside `run.step` they are known and can be left out. */
  workflow?: string
  step?: string
  completedSteps?: readonly string[]
  /** Base64url SHA-256 of the request that the user approved; see `intentHash`. */
  hash?: string
  /** Requests a token for this request alone, for a route that accepts each token only once. */
  once?: boolean
}

/** The part of an intent that comes from the run, its step and its delegation. */
export interface CallContext {
  readonly workflow?: string | undefined
  readonly step?: string | undefined
  readonly completedSteps?: readonly string[]
  readonly hash?: string | undefined
  /** Verified delegations to this agent. Without any, it acts for itself. */
  readonly chain?: readonly Hop[]
  /** The received token to exchange (RFC 8693). */
  readonly subjectToken?: string
  readonly run?: ServerRun
}

/** An intent combined with its run, in canonical form: equal intents have equal values. */
export interface ResolvedIntent {
  readonly scope: readonly string[]
  readonly resource: string
  readonly workflow: string | undefined
  readonly step: string | undefined
  /** Separated by spaces. */
  readonly completedSteps: string | undefined
  readonly hash: string | undefined
  readonly chain: readonly Hop[]
  readonly subjectToken: string | undefined
  readonly run: ServerRun | undefined
}

/** For error messages. Contains no secret. */
export function describeIntent({ scope, resource, workflow, step }: ResolvedIntent): string {
  const parts = [
    workflow !== undefined && `workflow ${workflow}`,
    step !== undefined && `step ${step}`,
    `scope ${scope.join(' ').slice(0, 200) || '(none)'}`,
    `resource ${resource.slice(0, 200)}`,
  ]
  return parts.filter(Boolean).join(', ')
}

/**
 * Combines the caller's intent with the run.
 *
 * @throws TypeError if the intent is malformed or contradicts its run
 * @throws AgentDelegationError if the intent exceeds what was delegated to this agent
 */
export function resolveIntent(
  intent: AgentIntent,
  context: CallContext,
  resource: string,
  now: number,
): ResolvedIntent {
  const step = withoutConflict('step', intent.step, context.step)
  const resolved = {
    scope: parseScope(intent.scope, 'intent.scope'),
    resource: parseAudience(intent.resource ?? resource, 'intent.resource'),
    workflow: withoutConflict('workflow', intent.workflow, context.workflow),
    step,
    completedSteps: withoutConflict(
      'completedSteps',
      stepList(intent.completedSteps),
      stepList(context.completedSteps),
    ),
    hash: withoutConflict('hash', intent.hash, context.hash),
    chain: context.chain ?? [],
    subjectToken: context.subjectToken,
    run: context.run,
  }
  if (resolved.workflow !== undefined) parseWorkflowId(resolved.workflow, 'intent.workflow')
  if (resolved.hash !== undefined) parseSha256(resolved.hash, 'intent.hash')
  if (step !== undefined) parseStepId(step, 'intent.step')
  if (step !== undefined && resolved.workflow === undefined) {
    throw new TypeError('intent.step needs a workflow: set intent.workflow, or use a run of startWorkflow')
  }
  checkDelegationLimits(resolved, now)
  return resolved
}

function stepList(ids: readonly string[] | undefined): string | undefined {
  return ids?.map((id) => parseStepId(id, 'intent.completedSteps')).join(' ')
}

/** A request of one step must not claim to be another step. */
function withoutConflict(
  member: string,
  fromIntent: string | undefined,
  fromRun: string | undefined,
): string | undefined {
  if (fromIntent !== undefined && fromRun !== undefined && fromIntent !== fromRun) {
    throw new TypeError(`intent.${member} contradicts the run that the request is part of: leave it out`)
  }
  return fromIntent ?? fromRun
}

/** Checked before the token request, because the authorization server would refuse it anyway. */
function checkDelegationLimits(
  { scope, resource, workflow, hash, chain }: ResolvedIntent,
  now: number,
): void {
  const last = chain.at(-1)
  if (!last) return
  if (last.expiresAt * 1000 <= now)
    throw new AgentDelegationError('delegation_expired', 'the delegation has expired')
  if (!scope.every((item) => last.scope.includes(item))) {
    throw new AgentDelegationError(
      'delegation_scope_widened',
      'the intent requests more scope than was delegated',
    )
  }
  if (!chain.every((hop) => hop.audience.includes(resource))) {
    throw new AgentDelegationError('delegation_context_mismatch', 'the delegation is not for this resource')
  }
  if (workflow !== last.workflow || hash !== last.hash) {
    throw new AgentDelegationError(
      'delegation_context_mismatch',
      'the delegation is for another workflow or intent',
    )
  }
}
