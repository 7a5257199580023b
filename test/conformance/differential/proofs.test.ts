import { describe, expect, test } from 'vitest'
import { agentKeys } from '../../../fixtures/kit.js'
import {
  cases,
  kit,
  mutate,
  otherProof,
  ourVerdict,
  plainProofVerdict,
  random,
  seed,
} from '../../support/differential.js'

describe(`the fast path and plain jose agree (seed ${seed})`, () => {
  test('on proofs', async () => {
    const token = kit.token()
    let accepted = 0
    for (let n = 0; n < cases; n++) {
      const base = kit.proof({ token })
      const kind = random.below(10)
      const proof = kind === 0 ? base : kind < 5 ? otherProof(token) : mutate(base, [kit.proof({ token })])
      const expected = await plainProofVerdict(proof, token, agentKeys.seven.thumbprint)
      const verdict = await ourVerdict(token, proof)
      expect({ proof, accepted: verdict === 'allow' }, verdict).toEqual({ proof, accepted: expected })
      if (verdict === 'allow') {
        accepted++
        expect(await ourVerdict(token, proof)).toBe('proof_replayed')
      }
    }
    expect(accepted).toBeGreaterThan(cases / 20)
    expect(accepted).toBeLessThan(cases / 2)
  }, 300_000)
})
