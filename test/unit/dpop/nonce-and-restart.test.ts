import { expect, test } from 'vitest'
import { createKit } from '../../../fixtures/kit.js'
import type { ReplayStore } from '../../../src/index.js'
import { takesLongestTtl } from '../../../src/stores/replay-key.js'
import { verifierFor } from '../../support/verify.js'

const nonceSecret = 'a secret that all processes share'

/**
 * A verifier that demands nonces; how many seconds before now each proof could first have been used, as its
 * store hears.
 */
function setUp(now?: () => number) {
  const kit = createKit()
  const ages: number[] = []
  const replayStore: ReplayStore & { [takesLongestTtl]: true } = {
    [takesLongestTtl]: true,
    remember(_key: string, ttl: number, longestTtl?: number) {
      ages.push((longestTtl ?? Number.NaN) - ttl)
      return true
    },
  }
  const options = { replayStore, nonceSecret, now: now ?? (() => kit.now) }
  const { verify } = verifierFor(kit, { proof: { nonce: 'required' } }, options)
  const call = async (nonce?: string) => {
    const decision = await verify(kit.call(nonce === undefined ? {} : { proof: { claims: { nonce } } }))
    return {
      outcome: decision.outcome,
      nonce: 'headers' in decision ? decision.headers['dpop-nonce'] : undefined,
    }
  }
  return { kit, ages, call }
}

test('after a store lost its memory, proofs with a nonce pass within some 15 seconds, at any time of a minute', async () => {
  const { kit, ages, call } = setUp()
  for (let second = 0; second < 60; second += 7) {
    const { nonce } = await call()
    expect((await call(nonce)).outcome).toBe('allow')
    kit.advance(7)
  }
  expect(Math.max(...ages)).toBeLessThanOrEqual(10 + 5)
})

test('a nonce is good for at least a minute and at most two', async () => {
  const { kit, call } = setUp()
  for (let second = 0; second < 10; second++) {
    const { nonce } = await call()
    kit.advance(60)
    expect((await call(nonce)).outcome).toBe('allow')
    kit.advance(60)
    expect((await call(nonce)).outcome).toBe('deny')
    kit.advance(1)
  }
})

test('a nonce of another process whose clock is some seconds ahead is good', async () => {
  const here = setUp()
  for (let second = 0; second < 10; second++) {
    const ahead = setUp(() => here.kit.now + 5000)
    const { nonce } = await ahead.call()
    expect((await here.call(nonce)).outcome).toBe('allow')
    here.kit.advance(1)
  }
})
