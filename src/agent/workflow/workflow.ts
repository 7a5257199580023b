import type { AgentRequestInit, Call } from '../client/call.js'
import type { AgentIdentity, DelegationGrant } from '../delegation/delegate.js'
import { stepId } from '../http/grammar.js'
import { createServerRun, isRunId } from '../tokens/server-run.js'
import { currentFrame, type Frame, findFrame, within } from './ambient.js'
import type { CallContext } from './intent.js'

/** What the function of a step is given: the same as the surroundings carry, for those who prefer it explicit. */
export interface AgentStep {
  readonly id: string
  /** The steps that had completed when this one began. */
  readonly completedSteps: readonly string[]
  fetch(url: string | URL, init: AgentRequestInit): Promise<Response>
}

/** One pass through a workflow, or what was delegated to this agent, or both. */
export interface AgentRun {
  readonly workflow: string | undefined
  /** The authorization server's `run_id`, once a token of this run was had: for `acceptDelegation` of the next agent. */
  readonly runId: string | undefined
  /** In the order in which they completed. */
  readonly completedSteps: readonly string[]
  /**
   * Does one step. Every `fetch` of this agent inside `work`, however deep, carries the workflow, the step, and
   * the steps that had completed when it began. It counts as completed once `work` has, and as failed if it throws:
   * the next token request of the run tells the authorization server so.
   *
   * @throws TypeError where the step is under way or completed already, or the run has no workflow
   */
  step<T>(id: string, work: (step: AgentStep) => T | Promise<T>): Promise<T>
  fetch(url: string | URL, init: AgentRequestInit): Promise<Response>
  /** As the client's `delegate`, with this run's workflow and intent, and one hop longer than its own chain. */
  delegate(to: AgentIdentity, grant: DelegationGrant): Promise<string>
}

/** What a run does through its client. */
export interface RunOwner {
  /** Stands for the client among the frames. */
  readonly client: object
  readonly call: Call
  delegate(context: CallContext, to: AgentIdentity, grant: DelegationGrant): Promise<string>
}

export interface RunStart {
  /** The steps that have completed already, in order: it resumes a run. */
  completedSteps?: readonly string[]
  /** `runId` of the run that this one continues, where the authorization server keeps runs. */
  runId?: string
}

/** @throws TypeError where the start is ill-formed */
export function createRun(owner: RunOwner, given: CallContext, start: RunStart = {}): AgentRun {
  const { completedSteps: before = [], runId } = start
  if (runId !== undefined && !isRunId(runId)) throw new TypeError('runId is ill-formed')
  const state = given.workflow === undefined ? undefined : createServerRun(runId)
  const base = state === undefined ? given : { ...given, run: state }
  const completed = before.map((id) => stepId(id, 'completedSteps'))
  const begun = new Set(completed)

  /** Inside one of its steps a run speaks for that step; else for itself. */
  function here(): CallContext {
    const frame = findFrame((candidate) => candidate.run === run)
    return frame ? contextOf(frame) : { ...base, completedSteps: [...completed] }
  }

  async function step<T>(id: string, work: (step: AgentStep) => T | Promise<T>): Promise<T> {
    stepId(id, 'step')
    if (base.workflow === undefined) throw new TypeError('a step needs a run of a workflow')
    // Twice in one run it would stand among its own predecessors.
    if (begun.has(id)) throw new TypeError(`step "${id}" of this run is under way or completed`)
    begun.add(id)
    // Copied now: what completes beside this step must not change what its own requests say.
    const context = { ...base, step: id, completedSteps: [...completed] }
    const frame: Frame = { client: owner.client, run, context, outer: currentFrame(), ended: false }
    const { completedSteps } = context
    const fetch: AgentStep['fetch'] = async (url, init) => owner.call(url, init, contextOf(frame))
    try {
      const result = await within(frame, () => work({ id, completedSteps, fetch }))
      completed.push(id)
      state?.completed(id)
      return result
    } catch (error) {
      begun.delete(id)
      state?.failed(id)
      throw error
    } finally {
      frame.ended = true
    }
  }

  const run: AgentRun = Object.freeze({
    workflow: base.workflow,
    get runId() {
      return state?.id
    },
    get completedSteps() {
      return [...completed]
    },
    step,
    fetch: async (url: string | URL, init: AgentRequestInit) => owner.call(url, init, here()),
    delegate: async (to: AgentIdentity, grant: DelegationGrant) => owner.delegate(here(), to, grant),
  })
  return run
}

/** The context that surrounds a call of the client itself: its innermost step's, or none. */
export function surroundingContext(client: object): CallContext {
  const frame = findFrame((candidate) => candidate.client === client)
  return frame ? contextOf(frame) : {}
}

/** Work that was not awaited may outlive its step; its requests must not go on in the step's name. */
function contextOf(frame: Frame): CallContext {
  if (frame.ended) throw new TypeError(`step "${frame.context.step}" has ended`)
  return frame.context
}
