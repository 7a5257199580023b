import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hashIds } from '../../../src/jws/chain-hash.js'
import { compileWorkflow, type WorkflowStep } from '../../../src/rules/workflow.js'

/** The draft's hash, from its definition. */
const short = (ids: readonly string[]) =>
  createHash('sha256').update(ids.join('|'), 'utf8').digest('hex').substring(0, 16)

/** Every sequence of some of these, in every order. */
function sequencesOf(ids: readonly string[]): string[][] {
  return [
    [],
    ...ids.flatMap((id) => sequencesOf(ids.filter((other) => other !== id)).map((rest) => [id, ...rest])),
  ]
}

/** Whether these steps, in this order, lead up to a step: written from the definition, one step at a time. */
function leadsTo(steps: readonly WorkflowStep[], target: string, done: readonly string[]): boolean {
  const before = steps.slice(
    0,
    steps.findIndex(({ id }) => id === target),
  )
  const positions = done.map((id) => before.findIndex((step) => step.id === id))
  const isAscending = positions.every((position, index) => position > (positions[index - 1] ?? -1))
  return isAscending && before.every(({ id, optional }) => optional || done.includes(id))
}

const workflow = fc
  .uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'aa', 'a b', 'ü', 'constructor'), {
    minLength: 1,
    maxLength: 5,
  })
  .chain((ids) =>
    fc.tuple(...ids.map((id) => fc.boolean().map((optional): WorkflowStep => ({ id, optional })))),
  )

describe('the valid hashes for a step', () => {
  test('are those of all sequences in which the steps before it can be completed, and no others', () => {
    fc.assert(
      fc.property(workflow, (steps) => {
        const compiled = compileWorkflow(steps)
        const sequences = sequencesOf(steps.map(({ id }) => id))
        expect([...compiled.keys()]).toEqual(steps.map(({ id }) => id))
        for (const { id } of steps) {
          const before = sequences.filter((done) => leadsTo(steps, id, done))
          const right = [...before, ...before.map((done) => [...done, id])].map(short)
          expect(new Set(compiled.get(id))).toEqual(new Set(right))
        }
      }),
      { numRuns: 60 },
    )
  })

  test('are computed in time for the maximum number of optional steps', () => {
    const steps = Array.from({ length: 12 }, (_, index) => ({ id: `s${index}`, optional: true }))
    const compiled = compileWorkflow([...steps, { id: 'end', optional: false }])
    expect(compiled.get('end')?.size).toBe(2 * 2 ** 12)
  })
})

test('the hash of ids is that of the draft', () => {
  expect(hashIds([])).toBe('e3b0c44298fc1c14')
  expect(hashIds(['planner', 'worker'])).toBe(short(['planner', 'worker']))
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' })), (ids) => {
      expect(hashIds(ids)).toBe(short(ids))
    }),
  )
})
