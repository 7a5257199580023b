import { hashIds } from '../jws/chain-hash.js'

/** Limits memory: each optional step doubles the number of hashes. */
const maxOptionalSteps = 12

export interface WorkflowStep {
  readonly id: string
  readonly optional: boolean
}

/** The steps as a policy has them. */
export function toSteps(
  written: readonly (string | { readonly id: string; readonly optional?: boolean | undefined })[],
): readonly WorkflowStep[] {
  return written.map((step) =>
    typeof step === 'string'
      ? { id: step, optional: false }
      : { id: step.id, optional: step.optional === true },
  )
}

export function findStepsProblem(steps: readonly WorkflowStep[]): string | undefined {
  if (new Set(steps.map((step) => step.id)).size < steps.length)
    return 'names a step twice: give each step its own id'
  return steps.filter((step) => step.optional).length > maxOptionalSteps
    ? `has more than ${maxOptionalSteps} optional steps: split the workflow`
    : undefined
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
