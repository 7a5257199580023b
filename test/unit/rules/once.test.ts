import { describe, expect, test } from 'vitest'
import { createKit } from '../../../fixtures/kit.js'
import { memoryReplayStore, type ReplayStore } from '../../../src/index.js'
import { verifierFor } from '../../support/verify.js'

const routes = { 'GET /orders/:id': { once: true }, 'GET /me': 'authenticated' } as const
const count = (outcomes: readonly string[], which: string) =>
  outcomes.filter((outcome) => outcome === which).length

/** A store that answers when it pleases, in another order than it was asked. */
function slowStore(): ReplayStore {
  const known = new Set<string>()
  return {
    async remember(key) {
      await new Promise((done) => setTimeout(done, Math.random() * 20))
      const isNew = !known.has(key)
      known.add(key)
      await new Promise((done) => setTimeout(done, Math.random() * 20))
      return isNew
    },
  }
}

describe.each([
  ['the store in memory', () => memoryReplayStore()],
  ['a store that takes its time', slowStore],
])('a single-use token, with %s', (_, store) => {
  test('allows exactly one of fifty concurrent requests with different proofs', async () => {
    const kit = createKit()
    const { outcome } = verifierFor(kit, { routes }, { replayStore: store() })
    const token = kit.token()
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => outcome(kit.call({ token }))))
    expect(count(outcomes, 'allow')).toBe(1)
    expect(count(outcomes, 'token_reused')).toBe(49)
  })

  test('allows one request for each token, in any order', async () => {
    const kit = createKit()
    const { outcome } = verifierFor(kit, { routes }, { replayStore: store() })
    const tokens = Array.from({ length: 5 }, () => kit.token())
    const requests = Array.from({ length: 50 }, (_, index) =>
      kit.call({ token: tokens[index % 5] as string }),
    )
    const outcomes = await Promise.all(requests.map(outcome))
    for (const index of tokens.keys()) {
      const own = outcomes.filter((_, at) => at % 5 === index)
      expect([count(own, 'allow'), count(own, 'token_reused')]).toEqual([1, 9])
    }
  })

  test('allows one request with two verifiers that share the store', async () => {
    const kit = createKit()
    const shared = store()
    const processes = [1, 2].map(() => verifierFor(kit, { routes }, { replayStore: shared }))
    const token = kit.token()
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, index) => processes[index % 2]?.outcome(kit.call({ token })) ?? ''),
    )
    expect([count(outcomes, 'allow'), count(outcomes, 'token_reused')]).toEqual([1, 49])
  })

  test('is not consumed by denied requests', async () => {
    const kit = createKit()
    const { outcome } = verifierFor(kit, { routes }, { replayStore: store() })
    const token = kit.token()
    const bad = Array.from({ length: 20 }, () => outcome(kit.call({ token, proof: { method: 'PUT' } })))
    const [good, ...others] = await Promise.all([outcome(kit.call({ token })), ...bad])
    expect(good).toBe('allow')
    expect(count(others, 'proof_method_mismatch')).toBe(20)
  })
})

test('a store receives a digest of the token, for as long as the token could be accepted', async () => {
  const kit = createKit()
  const asked: [key: string, ttl: number][] = []
  const replayStore: ReplayStore = { remember: (key, ttl) => asked.push([key, ttl]) > 0 }
  const { outcome } = verifierFor(kit, { routes }, { replayStore })
  const jti = 'j'.repeat(200)
  expect(await outcome(kit.call({ token: { claims: { jti } } }))).toBe('allow')
  expect(asked).toHaveLength(2)
  const [key, ttl] = asked[1] as [string, number]
  expect(key).not.toContain('jjj')
  for (const [each] of asked) expect(each).toMatch(/^[\w-]{43}[.~][\w-]{43}$/)
  // The token ends in 290 s, and a clock may be 5 s behind.
  expect(ttl).toBeGreaterThanOrEqual(295)
  expect(ttl).toBeLessThan(310)
})
