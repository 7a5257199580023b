import type { AsyncLocalStorage } from 'node:async_hooks'
import { sharedInProcess } from '../../lib/copies.js'
import type { CallContext } from './intent.js'

export interface ActiveStep {
  /** Client and run of the step. Agents that share a process do not see each other's steps. */
  readonly client: object
  readonly run: object
  readonly context: CallContext
  readonly parent: ActiveStep | undefined
  ended: boolean
}

/**
 * Looked up at run time, because not every runtime has AsyncLocalStorage. Without it only the argument of the
 * step's function carries the step, and `client.fetch` does not find it.
 */
const hooks: typeof import('node:async_hooks') | undefined =
  globalThis.process?.getBuiltinModule?.('node:async_hooks')

/** Shared by all clients: each further AsyncLocalStorage slows every promise of the process on Node 20. */
const storage: AsyncLocalStorage<ActiveStep> | undefined =
  hooks && sharedInProcess('active steps', () => new hooks.AsyncLocalStorage<ActiveStep>())

/** Runs `work` as part of the step, including everything that it awaits. */
export function runInStep<T>(step: ActiveStep, work: () => T): T {
  return storage ? storage.run(step, work) : work()
}

export function activeStep(): ActiveStep | undefined {
  return storage?.getStore()
}

/** The innermost active step that matches. */
export function findActiveStep(matches: (step: ActiveStep) => boolean): ActiveStep | undefined {
  let step = activeStep()
  while (step && !matches(step)) step = step.parent
  return step
}
