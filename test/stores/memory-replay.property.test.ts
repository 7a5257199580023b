import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { memoryReplayStore } from '../../src/stores/memory-replay.js'
import { proofKey } from './keys.js'

const LIFE = 65

/** A few agents, each with a few proofs that end at a fixed time, in steps as clients write them. */
const proof = fc.record({
  agent: fc.integer({ min: 0, max: 4 }),
  jti: fc.integer({ min: 0, max: 3 }),
  iat: fc.integer({ min: 0, max: 120 }).map((half) => half / 2),
})

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('present' as const),
      proof,
      pause: fc.double({ min: 0, max: 0.09, noNaN: true }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      seconds: fc.double({ min: 0, max: 30, noNaN: true }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('jump' as const),
      seconds: fc.integer({ min: -100, max: 100 }),
    }),
  },
)

describe('memoryReplayStore, any history', () => {
  it('never accepts one proof twice, whatever the capacity, the order, the pauses and the clock', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.array(step, { maxLength: 200 }),
        (maxEntries, steps) => {
          let clock = 1000
          const store = memoryReplayStore({ maxEntries, now: () => clock * 1000 })
          const accepted = new Set<string>()
          for (const each of steps) {
            if (each.kind !== 'present') {
              clock += each.seconds
              continue
            }
            const { agent, jti, iat } = each.proof
            const ttl = 1000 + iat + LIFE - clock
            // The verifier read the clock before the store does.
            clock += each.pause
            if (store.remember(proofKey(String(agent), `${jti} ${iat}`), ttl)) {
              expect(accepted.has(`${agent} ${jti} ${iat}`)).toBe(false)
              accepted.add(`${agent} ${jti} ${iat}`)
            }
            expect(store.size).toBeLessThanOrEqual(maxEntries)
          }
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('accepts every proof once while there is room and the clock runs forward', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        let clock = 1000
        const store = memoryReplayStore({ maxEntries: 1000, now: () => clock * 1000 })
        const accepted = new Set<string>()
        for (const each of steps) {
          if (each.kind !== 'present') {
            clock += Math.abs(each.seconds)
            continue
          }
          const { agent, jti, iat } = each.proof
          const ttl = 1000 + iat + LIFE - clock
          const name = `${agent} ${jti} ${iat}`
          const taken = store.remember(proofKey(String(agent), `${jti} ${iat}`), ttl)
          // Within a tenth of a second of its end a proof may be taken for one that has just ended.
          if (ttl > 0.2) expect(taken).toBe(!accepted.has(name))
          if (taken) accepted.add(name)
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('never takes an agent below an equal share, whatever the others send', () => {
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
