import { hashIds } from '../jws/chain-hash.js'

/** Limits memory: each optional step doubles the number of hashes. */
export const maxOptionalSteps = 12

export interface WorkflowStep {
  readonly id: string
  readonly optional: boolean
}

/** All valid values of `step_sequence_hash` by step id. */
export type Workflow = ReadonlyMap<string, ReadonlySet<string>>

/**
 * Computes the valid hashes for each step: all required steps before it, with any of the optional ones.
 * Issuers hash the completed steps with or without the current step as the last one. Both forms are valid.
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
