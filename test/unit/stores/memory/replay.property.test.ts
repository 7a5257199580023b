import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type MemoryReplayStore, memoryReplayStore } from '../../../../src/stores/memory/replay.js'
import { proofKey } from '../../../support/redis/keys.js'

const LIFE = 65

/**
 * A handful of proofs, so that each comes again and again: its agent, and its `iat` in steps as clients write
 * it.
 */
const proofs = fc.array(
  fc.record({
    agent: fc.integer({ min: 0, max: 3 }),
    iat: fc.integer({ min: 0, max: 60 }).map((half) => half / 2),
  }),
  { minLength: 1, maxLength: 10 },
)
/**
 * What happens: a proof is presented with a pause between the verifier's look at the clock and the store's,
 * or time goes.
 */
const steps = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({ proof: fc.nat({ max: 9 }), pause: fc.constantFrom(0, 0.001, 0.09) }),
    },
    { weight: 1, arbitrary: fc.record({ wait: fc.double({ min: 0, max: 30, noNaN: true }) }) },
    { weight: 1, arbitrary: fc.record({ wait: fc.integer({ min: -100, max: 100 }) }) },
  ),
  { maxLength: 150 },
)

/** Runs a history against a store, and hands every presentation to `check`. */
function play(
  options: { maxEntries: number; forwardOnly?: boolean },
  history: {
    proofs: { agent: number; iat: number }[]
    steps: ({ proof: number; pause: number } | { wait: number })[]
  },
  check: (proof: number, ttl: number, taken: boolean, store: MemoryReplayStore) => void,
) {
  let clock = 1000
  const store = memoryReplayStore({ maxEntries: options.maxEntries, now: () => clock * 1000 })
  for (const step of history.steps) {
    if ('wait' in step) {
      clock += options.forwardOnly ? Math.abs(step.wait) : step.wait
      continue
    }
    const number = step.proof % history.proofs.length
    const { agent, iat } = history.proofs[number] as { agent: number; iat: number }
    const ttl = 1000 + iat + LIFE - clock
    clock += step.pause
    check(number, ttl, store.remember(proofKey(String(agent), number), ttl), store)
  }
}

describe('memoryReplayStore, any history', () => {
  it('never accepts one proof twice, for any capacity, order, pause and clock', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), proofs, steps, (maxEntries, proofs, steps) => {
        const accepted = new Set<number>()
        play({ maxEntries }, { proofs, steps }, (proof, _ttl, taken, store) => {
          if (taken && accepted.has(proof)) throw new Error(`proof ${proof} was accepted twice`)
          if (taken) accepted.add(proof)
          if (store.size > maxEntries || store.agents > maxEntries) throw new Error('more than maxEntries')
        })
      }),
      { numRuns: 10_000 },
    )
  })

  it('accepts every proof once while there is room and the clock runs forward', () => {
    fc.assert(
      fc.property(proofs, steps, (proofs, steps) => {
        const accepted = new Set<number>()
        play({ maxEntries: 10, forwardOnly: true }, { proofs, steps }, (proof, ttl, taken) => {
          // Within a tenth of a second of its end a proof may be taken for one that has just ended.
          if (ttl > 0.2) expect(taken).toBe(!accepted.has(proof))
          if (taken) accepted.add(proof)
        })
      }),
      { numRuns: 1000 },
    )
  })

  it('never leaves an agent less than an equal share, for any requests of the others', () => {
    const arrival = fc.record({
      agent: fc.integer({ min: 1, max: 4 }),
      end: fc.integer({ min: 60, max: 90 }),
    })
    fc.assert(
      fc.property(
        fc.integer({ min: 5, max: 40 }),
        fc.array(arrival, { maxLength: 300 }),
        (maxEntries, arrivals) => {
          const store = memoryReplayStore({ maxEntries, now: () => 1_000_000 })
          const share = Math.floor(maxEntries / 5)
          for (let jti = 0; jti < share; jti++) expect(store.remember(proofKey('quiet', jti), 60)).toBe(true)
          arrivals.forEach(({ agent, end }, jti) => void store.remember(proofKey(`agent ${agent}`, jti), end))
          // Had anything of it been forgotten, its floor would refuse the first of these.
          if (share > 0 && store.size < maxEntries)
            expect(store.remember(proofKey('quiet', 'more'), 60)).toBe(true)
          for (let jti = 0; jti < share; jti++) expect(store.remember(proofKey('quiet', jti), 60)).toBe(false)
          const refused = store.refused
          for (let jti = 0; jti < share; jti++) store.remember(proofKey('quiet', jti), 60)
          // Known ones are "seen", forgotten ones would be "refused".
          expect(store.refused).toBe(refused)
        },
      ),
      { numRuns: 500 },
    )
  })
})
