import type { Hop } from '../delegation/chain.js'
import { AgentDelegationError } from '../errors.js'
import { audience, digest, scopeSet, stepId, workflowId } from '../http/grammar.js'
import type { ServerRun } from '../tokens/server-run.js'

/** What one request is for. The token that goes with it is asked for exactly this. */
export interface AgentIntent {
  /** The scopes that this request needs, and no more. */
  scope: string | readonly string[]
  /**
   * The API's audience (RFC 8707). Default: the client's `resource`, else the URL's origin. The URL has to be at the
   * origin of the resource, or at one that the client's option `origins` names for it.
   */
  resource?: string
  /** Workflow, step and completed steps: left out inside `run.step`, which knows them. */
  workflow?: string
  step?: string
  completedSteps?: readonly string[]
  /** Base64url SHA-256 of the user's approved request; see `intentHash`. */
  hash?: string
  /** A token for this one request alone, for a route that takes each token only once. */
  once?: boolean
}

/** Where in a run a request is made: what the run, its step and its delegation say. */
export interface CallContext {
  readonly workflow?: string | undefined
  readonly step?: string | undefined
  readonly completedSteps?: readonly string[]
  readonly hash?: string | undefined
  /** The assertions that this agent acts under, checked; none: it acts for itself. */
  readonly chain?: readonly Hop[]
  /** The received token that is to be exchanged (RFC 8693). */
  readonly subjectToken?: string
  readonly run?: ServerRun
}

/** One intent, settled: the same intent gives an equal value, however it was written. */
export interface TokenNeed {
  readonly scope: readonly string[]
  readonly resource: string
  readonly workflow: string | undefined
  readonly step: string | undefined
  /** Separated by blanks. */
  readonly completedSteps: string | undefined
  readonly hash: string | undefined
  readonly chain: readonly Hop[]
  readonly subjectToken: string | undefined
  readonly run: ServerRun | undefined
}

/** For error messages: nothing in it is secret. */
export function describeNeed({ scope, resource, workflow, step }: TokenNeed): string {
  const parts = [
    workflow !== undefined && `workflow ${workflow}`,
    step !== undefined && `step ${step}`,
    `scope ${scope.join(' ').slice(0, 200) || '(none)'}`,
    `resource ${resource.slice(0, 200)}`,
  ]
  return parts.filter(Boolean).join(', ')
}

/**
 * What the caller wrote, joined with the run it is in.
 *
 * @throws TypeError where the intent is ill-formed or contradicts its run
 * @throws AgentDelegationError where it reaches beyond what was delegated to this agent
 */
export function settleIntent(
  intent: AgentIntent,
  context: CallContext,
  resource: string,
  now: number,
): TokenNeed {
  const step = agreed('step', intent.step, context.step)
  const need = {
    scope: scopeSet(intent.scope, 'intent.scope'),
    resource: audience(intent.resource ?? resource, 'intent.resource'),
    workflow: agreed('workflow', intent.workflow, context.workflow),
    step,
    completedSteps: agreed(
      'completedSteps',
      stepList(intent.completedSteps),
      stepList(context.completedSteps),
    ),
    hash: agreed('hash', intent.hash, context.hash),
    chain: context.chain ?? [],
    subjectToken: context.subjectToken,
    run: context.run,
  }
  if (need.workflow !== undefined) workflowId(need.workflow, 'intent.workflow')
  if (need.hash !== undefined) digest(need.hash, 'intent.hash')
  if (step !== undefined) stepId(step, 'intent.step')
  if (step !== undefined && need.workflow === undefined) throw new TypeError('intent.step needs a workflow')
  withinDelegation(need, now)
  return need
}

function stepList(ids: readonly string[] | undefined): string | undefined {
  return ids?.map((id) => stepId(id, 'intent.completedSteps')).join(' ')
}

/** A request that names another step than the one it is made in is a mistake, or an attempt. */
function agreed(member: string, own: string | undefined, context: string | undefined): string | undefined {
  if (own !== undefined && context !== undefined && own !== context) {
    throw new TypeError(`intent.${member} is not that of the run it is in`)
  }
  return own ?? context
}

/** Refused here rather than there: an authorization server need not learn of an intent that cannot be met. */
function withinDelegation({ scope, resource, workflow, hash, chain }: TokenNeed, now: number): void {
  const last = chain.at(-1)
  if (!last) return
  if (last.expiresAt * 1000 <= now)
    throw new AgentDelegationError('delegation_expired', 'the delegation has expired')
  if (!scope.every((item) => last.scope.includes(item))) {
    throw new AgentDelegationError(
      'delegation_scope_widened',
      'the intent asks for scope beyond the delegation',
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
