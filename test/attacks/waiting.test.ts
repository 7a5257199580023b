import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { oauthIssuer } from '../../fixtures/conformance/policy.js'
import {
  AUDIENCE,
  agentKeys,
  createKit,
  ISSUER,
  issuerJwks,
  jws,
  type Kit,
  plainRequest,
} from '../../fixtures/kit.js'
import type { IssuerPolicy, VerifierOptions } from '../../src/index.js'
import { verifierFor } from '../support/verify.js'

let kit: Kit
const unhandled: unknown[] = []
const note = (reason: unknown) => void unhandled.push(reason)

beforeEach(() => {
  kit = createKit()
  unhandled.length = 0
  process.on('unhandledRejection', note)
})

afterEach(async () => {
  vi.useRealTimers()
  // A rejection that nobody handles is told of after the microtasks.
  await new Promise((resolve) => setTimeout(resolve, 5))
  process.off('unhandledRejection', note)
  expect(unhandled).toEqual([])
})

const publish = async () => Response.json(issuerJwks())

function remote(options: VerifierOptions, keys: IssuerPolicy['keys'] = {}) {
  return verifierFor(kit, { issuer: { url: ISSUER, jwksUri: `${ISSUER}/jwks`, keys } }, options)
}

describe('a clock that fails', () => {
  const clocks: readonly [what: string, now: () => unknown][] = [
    [
      'throws',
      () => {
        throw new Error('no time')
      },
    ],
    ['gives a BigInt', () => 1_790_000_000_000n],
    ['gives no number', () => Number.NaN],
    ['gives infinity', () => Number.POSITIVE_INFINITY],
    ['gives a symbol', () => Symbol('now')],
  ]

  test.each(clocks)('and %s refuses, and never rejects', async (_, now) => {
    const clock = now as () => number
    for (const proof of [{ nonce: 'off' }, { nonce: 'required' }] as const) {
      const { verify, outcome } = verifierFor(kit, { proof }, { now: clock })
      expect(await verify(kit.call())).toMatchObject({ outcome: 'deny', code: 'internal_error', status: 503 })
      expect(await outcome(plainRequest('GET', '/orders/42'))).toBe('credentials_missing')
      expect(await outcome(plainRequest('GET', '/health'))).toBe('public')
    }
    const { outcome } = remote({ now: clock, fetch: publish })
    expect(await outcome(kit.call())).toBe('internal_error')
  })

  test.each([1, 2, 3])('once, at its reading no. %i while keys are fetched, is got over', async (reading) => {
    let readings = 0
    let isFetching = false
    const now = () => {
      if (isFetching && ++readings === reading) throw new Error('no time')
      return kit.now
    }
    const fetch = vi.fn(async () => {
      isFetching = true
      return publish()
    })
    const { outcome } = remote({ now, fetch })
    await outcome(kit.call())
    isFetching = false
    // Far beyond any cool-down.
    kit.advance(60)
    expect(await outcome(kit.call())).toBe('allow')
  })

  test('at the start of a fetch, in the foreground and in the background, leaves no rejection behind', async () => {
    let isBroken = false
    const now = () => {
      // Only what measures the fetch: the checks of the request itself go on.
      if (isBroken && new Error('where').stack?.includes('attempt')) throw new Error('no time')
      return kit.now
    }
    const { outcome } = remote({ now, fetch: publish }, { maxAge: 10 })
    isBroken = true
    expect(await outcome(kit.call())).toBe('allow')
    kit.advance(11)
    expect(await outcome(kit.call())).toBe('allow')
    await new Promise((resolve) => setTimeout(resolve, 10))
    isBroken = false
    kit.advance(11)
    expect(await outcome(kit.call())).toBe('allow')
  })
})

// AbortSignal.timeout takes whole milliseconds only, and 1.001 * 1000 is not one.
test.each([1.001, 0.07, 2.3, 8.2, 0.1234])('a timeout of %d s is one', async (timeout) => {
  const { outcome } = remote({ fetch: publish }, { timeout })
  expect(await outcome(kit.call())).toBe('allow')
})

describe('answers that never come are not waited for', () => {
  const never = () => new Promise<never>(() => {})
  const issuers: readonly [what: string, fetch: typeof globalThis.fetch][] = [
    ['a fetch that heeds no signal', never],
    ['a body that never ends', async () => new Response(new ReadableStream({ start() {} }))],
    [
      'a refused body that cannot be cancelled',
      async () => new Response(new ReadableStream({ cancel: never }), { status: 500 }),
    ],
  ]

  test.each(issuers)('%s', async (_, fetch) => {
    const { outcome } = remote({ fetch }, { timeout: 0.1, cooldown: 1 })
    const late = new Promise((resolve) => setTimeout(() => resolve('nothing'), 2000))
    expect(await Promise.race([outcome(kit.call()), late])).toBe('keys_unavailable')
    expect(await Promise.race([outcome(kit.call()), late])).toBe('keys_unavailable')
  })

  const promises: readonly [what: string, VerifierOptions, code: string][] = [
    ['a replay store', { replayStore: { remember: never } }, 'replay_store_unavailable'],
    // biome-ignore lint/suspicious/noThenProperty: what `await` would wait for, and is no promise
    ['a thenable', { replayStore: { remember: () => ({ then() {} }) as never } }, 'replay_store_unavailable'],
    ['revocations', { revocations: { isRevoked: never } }, 'revocations_unavailable'],
  ]

  test.each(promises)('%s that never answers', async (_, options, code) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { verify } = verifierFor(kit, {}, options)
    let told: unknown = 'nothing'
    void verify(kit.call()).then((decision) => {
      told = decision
    })
    await vi.advanceTimersByTimeAsync(4000)
    expect(told).toBe('nothing')
    await vi.advanceTimersByTimeAsync(2000)
    expect(told).toMatchObject({ outcome: 'deny', code, status: 503 })
    expect(vi.getTimerCount()).toBe(0)
  })

  test('an answer that rejects after its timeout causes no unhandled rejection', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    let fail: (reason: Error) => void = () => {}
    const isRevoked = () =>
      new Promise<boolean>((_, reject) => {
        fail = reject
      })
    const { outcome } = verifierFor(kit, {}, { revocations: { isRevoked } })
    const told = outcome(kit.call())
    await vi.advanceTimersByTimeAsync(6000)
    fail(new Error('late'))
    expect(await told).toBe('revocations_unavailable')
  })
})

describe('the clock is read again after each wait', () => {
  /** Takes its time, and gives this. */
  const taking =
    <T>(seconds: number, answer: T) =>
    async (): Promise<T> => {
      kit.advance(seconds)
      return answer
    }

  test('a token that ended while keys were fetched', async () => {
    const fetch = async () => {
      kit.advance(300)
      return publish()
    }
    expect(await remote({ fetch }).outcome(kit.call())).toBe('token_expired')
  })

  test('a token that ended while the replay store was asked', async () => {
    const slow = { replayStore: { remember: taking(300, true) } }
    expect(await verifierFor(kit, {}, slow).outcome(kit.call())).toBe('token_expired')
  })

  test('a token without a proof that ended while revocations were asked for', async () => {
    const policy = { issuer: oauthIssuer(), proof: { required: false } }
    const ask = (seconds: number) => {
      const options = { revocations: { isRevoked: taking(seconds, false) } }
      const token = { claims: { cnf: undefined } }
      return verifierFor(kit, policy, options).outcome(kit.call({ scheme: 'Bearer', token, proof: null }))
    }
    expect(await ask(0)).toBe('allow')
    expect(await ask(300)).toBe('token_expired')
  })

  test('a proof that got old while revocations were asked for', async () => {
    const { outcome } = verifierFor(kit, {}, { revocations: { isRevoked: taking(61, false) } })
    expect(await outcome(kit.call())).toBe('proof_stale')
  })

  test('a login that got old while the replay store was asked', async () => {
    const routes = { 'GET /orders/:id': { user: { maxAge: 100 } } }
    const token = { claims: { auth_time: kit.seconds - 90 } }
    const slow = { replayStore: { remember: taking(20, true) } }
    expect(await verifierFor(kit, { routes }, slow).outcome(kit.call({ token }))).toBe(
      'user_authentication_required',
    )
    const quick = { replayStore: { remember: taking(0, true) } }
    const later = { claims: { auth_time: kit.seconds - 90 } }
    expect(await verifierFor(kit, { routes }, quick).outcome(kit.call({ token: later }))).toBe('allow')
  })

  test('a delegation that ended while the replay store was asked', async () => {
    const iat = kit.seconds - 10
    const assertion = jws(
      { alg: agentKeys.eight.alg, typ: 'ajwt-delegation+jwt', jwk: agentKeys.eight.jwk },
      {
        iss: 'agent-8',
        sub: 'agent-7',
        cnf: { jkt: agentKeys.seven.thumbprint },
        aud: AUDIENCE,
        scope: 'orders:read',
        iat,
        exp: iat + 300,
        jti: kit.id(),
        workflow_id: 'refund',
      },
      agentKeys.eight,
    )
    const intent = kit.intent({
      initiated_by: 'agent-8',
      initiator_jkt: agentKeys.eight.thumbprint,
      delegation: [assertion],
    })
    const call = () => kit.call({ token: { claims: { intent, iat, exp: iat + 300 } } })
    const quick = { replayStore: { remember: taking(0, true) } }
    expect(await verifierFor(kit, {}, quick).outcome(call())).toBe('allow')
    const slow = { replayStore: { remember: taking(300, true) } }
    // The token has ended as well by then: either is the truth.
    expect(await verifierFor(kit, {}, slow).outcome(call())).toMatch(/^(delegation|token)_expired$/)
  })

  test('a nonce that got old while revocations were asked for', async () => {
    const policy = { proof: { nonce: 'required', maxAge: 600 } } as const
    const options = { nonceSecret: 'sixteen bytes of secret' }
    const first = await verifierFor(kit, policy, options).verify(plainRequest('GET', '/orders/42'))
    const nonce = 'headers' in first ? first.headers['dpop-nonce'] : undefined
    const ask = (seconds: number) =>
      verifierFor(kit, policy, { ...options, revocations: { isRevoked: taking(seconds, false) } }).outcome(
        kit.call({ proof: { claims: { nonce } } }),
      )
    expect(await ask(0)).toBe('allow')
    expect(await ask(121)).toBe('proof_nonce_required')
  })
})
