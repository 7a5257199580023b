import type { AgentRequestInit, Call } from '../client/call.js'
import type { AgentIdentity, DelegationGrant } from '../delegation/delegate.js'
import { parseStepId } from '../http/grammar.js'
import { createServerRun, isRunId } from '../tokens/server-run.js'
import { type ActiveStep, activeStep, findActiveStep, runInStep } from './active-step.js'
import type { CallContext } from './intent.js'

/**
 * The argument of a step's function. Its `fetch` is explicit; `fetch` of the client finds the step by itself.
 */
export interface AgentStep {
  readonly id: string
  /** The steps that had completed when this one began. */
  readonly completedSteps: readonly string[]
  fetch(url: string | URL, init: AgentRequestInit): Promise<Response>
}

/** One pass through a workflow, or work under a delegation, or both. */
export interface AgentRun {
  readonly workflow: string | undefined
  /** The authorization server's `run_id`, after the first token. For `acceptDelegation` of the next agent. */
  readonly runId: string | undefined
  /** In order of completion. */
  readonly completedSteps: readonly string[]
  /** Steps whose `work` threw, and that have not completed since. */
  readonly failedSteps: readonly string[]
  /**
   * Runs one step. Each `fetch` of this agent inside `work`, at any depth, carries the workflow, the step,
   * and the steps that had completed when the step began. The step completes when `work` resolves, and fails
   * if `work` throws. The next token request of the run reports a failed step to the authorization server.
   *
   * @throws TypeError if the step is in progress or completed, or if the run has no workflow
   */
  step<T>(id: string, work: (step: AgentStep) => T | Promise<T>): Promise<T>
  fetch(url: string | URL, init: AgentRequestInit): Promise<Response>
  /** Like the client's `delegate`, with this run's workflow and intent, and one hop longer than its chain. */
  delegate(to: AgentIdentity, grant: DelegationGrant): Promise<string>
}

/** The operations of the client that a run uses. One object per client, so it also identifies the client. */
export interface RunClient {
  readonly call: Call
  delegate(context: CallContext, to: AgentIdentity, grant: DelegationGrant): Promise<string>
}

export interface RunStart {
  /** Steps that have completed already, in order. Resumes a run. */
  completedSteps?: readonly string[]
  /** `runId` of the run to continue, if the authorization server keeps runs. */
  runId?: string
}

/** @throws TypeError if a member of `start` is malformed */
export function createRun(client: RunClient, initial: CallContext, start: RunStart = {}): AgentRun {
  const { completedSteps: completedBefore = [], runId } = start
  if (runId !== undefined && !isRunId(runId)) {
    throw new TypeError('runId must be 1 to 256 characters of printable ASCII without spaces')
  }
  const serverRun = initial.workflow === undefined ? undefined : createServerRun(runId)
  const base = serverRun === undefined ? initial : { ...initial, run: serverRun }
  const completed = completedBefore.map((id) => parseStepId(id, 'completedSteps'))
  const begun = new Set(completed)
  const failed = new Set<string>()

  /** The context of the active step of this run, or else of the run itself. */
  function context(): CallContext {
    const active = findActiveStep((candidate) => candidate.run === run)
    return active ? contextOf(active) : { ...base, completedSteps: [...completed] }
  }

  async function step<T>(id: string, work: (step: AgentStep) => T | Promise<T>): Promise<T> {
    parseStepId(id, 'step')
    if (base.workflow === undefined) throw new TypeError('a step needs a run of a workflow')
    // A step that runs twice would be its own predecessor.
    if (begun.has(id)) throw new TypeError(`step "${id}" of this run is in progress or completed`)
    begun.add(id)
    // A copy: a parallel step that completes later must not change the requests of this step.
    const completedSteps = [...completed]
    const active: ActiveStep = {
      client,
      run,
      context: { ...base, step: id, completedSteps },
      parent: activeStep(),
      ended: false,
    }
    const fetch: AgentStep['fetch'] = async (url, init) => client.call(url, init, contextOf(active))
    try {
      const result = await runInStep(active, () => work({ id, completedSteps, fetch }))
      completed.push(id)
      failed.delete(id)
      serverRun?.completed(id)
      return result
    } catch (error) {
      begun.delete(id)
      failed.add(id)
      serverRun?.failed(id)
      throw error
    } finally {
      active.ended = true
    }
  }

  const run: AgentRun = Object.freeze({
    workflow: base.workflow,
    get runId() {
      return serverRun?.id
    },
    get completedSteps() {
      return [...completed]
    },
    get failedSteps() {
      return [...failed]
    },
    step,
    fetch: async (url: string | URL, init: AgentRequestInit) => client.call(url, init, context()),
    delegate: async (to: AgentIdentity, grant: DelegationGrant) => client.delegate(context(), to, grant),
  })
  return run
}

/** The context of the client's innermost active step; empty outside any step. */
export function currentContext(client: RunClient): CallContext {
  const active = findActiveStep((candidate) => candidate.client === client)
  return active ? contextOf(active) : {}
}

/** Work that was not awaited may outlive its step. Its requests must not use the rights of that step. */
function contextOf(step: ActiveStep): CallContext {
  if (step.ended) {
    throw new TypeError(
      `step "${step.context.step}" has ended: await its requests inside the step's function`,
    )
  }
  return step.context
}
