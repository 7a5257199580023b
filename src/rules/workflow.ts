import { hashIds } from '../jws/chain-hash.js'

/** More optional steps before one step make more hashes than are worth keeping. */
export const maxOptionalSteps = 12

export interface WorkflowStep {
  readonly id: string
  readonly optional: boolean
}

/** For each step of a workflow, every `step_sequence_hash` that is right for it. */
export type Workflow = ReadonlyMap<string, ReadonlySet<string>>

/**
 * Computes the hashes of all orders in which the steps before each step may have been completed: every required one,
 * and any of the optional ones. Two forms are in use: the current step left out, and the current step as the last one.
 * Neither passes a sequence that leaves out a required step.
 */
export function compileWorkflow(steps: readonly WorkflowStep[]): Workflow {
  const workflow = new Map<string, ReadonlySet<string>>()
  let completed: string[][] = [[]]
  for (const step of steps) {
    const withStep = completed.map((ids) => [...ids, step.id])
    workflow.set(step.id, new Set([...completed, ...withStep].map(hashIds)))
    completed = step.optional ? [...completed, ...withStep] : withStep
  }
  return workflow
}
