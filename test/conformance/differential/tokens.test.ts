import { describe, expect, test } from 'vitest'
import { agentKeys } from '../../../fixtures/kit.js'
import {
  cases,
  kit,
  mutate,
  otherToken,
  ourVerdict,
  plainTokenVerdict,
  random,
  seed,
} from '../../support/differential.js'

describe(`the fast path and plain jose agree (seed ${seed})`, () => {
  test('on tokens', async () => {
    const good = Array.from({ length: 20 }, () => kit.token())
    let accepted = 0
    for (let n = 0; n < cases; n++) {
      const base = random.pick(good)
      const kind = random.below(10)
      const token = kind === 0 ? base : kind < 4 ? otherToken() : mutate(base, good)
      const expected = await plainTokenVerdict(token)
      const holder = expected?.jkt === agentKeys.eight.thumbprint ? agentKeys.eight : agentKeys.seven
      const verdict = await ourVerdict(token, kit.proof({ token, key: holder }))
      expect({ token, accepted: verdict === 'allow' }, verdict).toEqual({
        token,
        accepted: expected !== undefined,
      })
      if (verdict === 'allow') accepted++
      // Nor does the proof for a token that is known help another that ends in the same way.
      if (token !== base && expected === undefined) {
        expect(await ourVerdict(token, kit.proof({ token: base })), token).not.toBe('allow')
      }
    }
    // A part of them is right, or all of this would say little.
    expect(accepted).toBeGreaterThan(cases / 20)
    expect(accepted).toBeLessThan(cases / 2)
  }, 300_000)
})
