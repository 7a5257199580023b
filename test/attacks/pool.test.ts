import { execFileSync } from 'node:child_process'
import { pbkdf2 } from 'node:crypto'
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { agentKeys, createKit, issuerKeys, jws, type TestKey } from '../../fixtures/kit.js'
import { memoryReplayStore } from '../../src/index.js'
import { algorithms } from '../../src/jws/algorithms.js'
import { importPublicKey } from '../../src/jws/jwk.js'
import { readCompact } from '../../src/jws/jws.js'
import * as loop from '../../src/jws/node-key.js'
import { createSignatureCheck } from '../../src/jws/signature-node.js'
import { verifierFor } from '../support/verify.js'

// So that what it exports can be watched.
vi.mock('../../src/jws/node-key.js', async (importOriginal) => ({ ...(await importOriginal<typeof loop>()) }))

afterEach(() => {
  vi.restoreAllMocks()
})

/** A signature by a key, and what it takes to check it. */
function signed(key: TestKey) {
  const { input, signature } = readCompact(jws({ alg: key.alg }, { n: 1 }, key), 10_000) as NonNullable<
    ReturnType<typeof readCompact>
  >
  const publicKey = importPublicKey(key.jwk) as NonNullable<ReturnType<typeof importPublicKey>>
  const algorithm = algorithms.get(key.alg) as NonNullable<ReturnType<typeof algorithms.get>>
  return [publicKey, algorithm, input, signature] as const
}

describe('where a signature is verified', () => {
  const { eddsa, rs256, seven, es384 } = agentKeys

  test.each([seven, es384, eddsa, rs256])('alone: at once, $alg', (key) => {
    const check = createSignatureCheck(() => false)
    const [publicKey, algorithm, input, signature] = signed(key)
    expect(check(publicKey, algorithm, input, signature)).toBe(true)
    expect(check(publicKey, algorithm, `${input}A`, signature)).toBe(false)
  })

  test.each([seven, es384, eddsa])(
    'beside others: in the thread pool, with the same answers, $alg',
    async (key) => {
      const check = createSignatureCheck(() => true)
      const [publicKey, algorithm, input, signature] = signed(key)
      const answers = [
        check(publicKey, algorithm, input, signature),
        check(publicKey, algorithm, `${input}A`, signature),
        check(publicKey, algorithm, input, signature.slice(4)),
        check(publicKey, algorithm, input, ''),
      ]
      for (const answer of answers) expect(answer).toBeInstanceOf(Promise)
      expect(await Promise.all(answers)).toEqual([true, false, false, false])
    },
  )

  test('RSA: always at once', () => {
    expect(createSignatureCheck(() => true)(...signed(rs256))).toBe(true)
  })

  test('no more than sixty-four wait in the pool', async () => {
    const check = createSignatureCheck(() => true)
    const parts = signed(seven)
    const answers = Array.from({ length: 70 }, () => check(...parts))
    expect(answers.filter((answer) => answer === true)).toHaveLength(6)
    expect(await Promise.all(answers)).toEqual(Array.from({ length: 70 }, () => true))
    // And they leave it.
    expect(check(...parts)).toBeInstanceOf(Promise)
  })

  test('a pool that others have blocked delays no request', async () => {
    let ended = 0
    const blockers = Array.from(
      { length: Number(process.env.UV_THREADPOOL_SIZE ?? 4) },
      () =>
        new Promise<void>((resolve) => {
          pbkdf2('p', 's', 1_000_000, 32, 'sha512', () => {
            ended++
            resolve()
          })
        }),
    )
    const check = createSignatureCheck(() => true)
    const [publicKey, algorithm, input, signature] = signed(seven)
    expect(await check(publicKey, algorithm, input, signature)).toBe(true)
    expect(await check(publicKey, algorithm, `${input}A`, signature)).toBe(false)
    expect(ended).toBe(0)
    await Promise.all(blockers)
  }, 60_000)
})

describe('signatures that are late in the pool', () => {
  const { es384, seven } = agentKeys

  /** Blocks every thread of the pool until it is released: each opens a pipe that nobody writes to. */
  async function blockPool() {
    const folder = mkdtempSync(join(tmpdir(), 'ajwt-pool-'))
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    const threads = Number(process.env.UV_THREADPOOL_SIZE ?? 4)
    const reads = Array.from({ length: threads }, () => readFile(pipe))
    let isReleased = false
    release = async () => {
      if (isReleased) return
      isReleased = true
      // Without O_NONBLOCK a pipe that nobody reads would block the test itself.
      closeSync(openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK))
      await Promise.all(reads)
      rmSync(folder, { recursive: true })
    }
  }

  let release = async () => {}

  /** The order of timers and of answers of the pool: a busy machine can change it once. */
  const timed = { retry: 3 }

  afterEach(() => release())

  /** Blocks the event loop. */
  function block(milliseconds: number): void {
    const end = performance.now() + milliseconds
    while (performance.now() < end);
  }

  /** Counts turns of the event loop until it is stopped. */
  function countTurns() {
    let turns = 0
    let isOver = false
    const count = () => {
      turns++
      if (!isOver) setImmediate(count)
    }
    setImmediate(count)
    return {
      current: () => turns,
      stop() {
        isOver = true
      },
    }
  }

  test('are verified on the loop, one in each turn, and each once', timed, async () => {
    const verifications = vi.spyOn(loop, 'isSignedBy')
    await blockPool()
    const turns = countTurns()
    const check = createSignatureCheck(() => true)
    const [publicKey, algorithm, input, signature] = signed(es384)
    const rescuedIn: number[] = []
    const asked = Array.from({ length: 40 }, async (_, n) => {
      const isValid = await check(publicKey, algorithm, n % 2 === 0 ? input : `${input}A`, signature)
      rescuedIn.push(turns.current())
      return isValid
    })
    expect(await Promise.all(asked)).toEqual(Array.from({ length: 40 }, (_, n) => n % 2 === 0))
    turns.stop()
    expect(new Set(rescuedIn).size).toBe(40)
    expect(verifications).toHaveBeenCalledTimes(40)
    await release()
    // Once more in the pool, and not on the loop.
    expect(await check(publicKey, algorithm, input, signature)).toBe(true)
    expect(verifications).toHaveBeenCalledTimes(40)
  })

  test('are not verified on the loop any more once the pool answers', timed, async () => {
    const verifications = vi.spyOn(loop, 'isSignedBy')
    await blockPool()
    const check = createSignatureCheck(() => true)
    const parts = signed(seven)
    let released: Promise<void> | undefined
    const asked = Array.from({ length: 40 }, async () => {
      const isValid = await check(...parts)
      if (released === undefined) {
        released = release()
        // Long enough for the pool to verify all of them.
        block(500)
      }
      return isValid
    })
    expect(await Promise.all(asked)).toEqual(Array.from({ length: 40 }, () => true))
    await released
    expect(verifications.mock.calls.length).toBeLessThan(5)
  })

  test(
    'are not verified on the loop where the answers came while the loop was blocked itself',
    timed,
    async () => {
      const verifications = vi.spyOn(loop, 'isSignedBy')
      await blockPool()
      const check = createSignatureCheck(() => true)
      const parts = signed(seven)
      const asked = Array.from({ length: 10 }, () => check(...parts))
      // They were seen once, and are late at the next look.
      await new Promise((resolve) => setTimeout(resolve, 65))
      // After an immediate, the timers of the loop come before the answers of the pool.
      await new Promise((resolve) => setImmediate(resolve))
      const released = release()
      block(500)
      expect(await Promise.all(asked)).toEqual(Array.from({ length: 10 }, () => true))
      await released
      expect(verifications).not.toHaveBeenCalled()
    },
  )
})

describe('many requests at once', () => {
  const routes = { 'GET /orders/:id': 'authenticated' } as const

  test('each gets its own decision', async () => {
    const kit = createKit()
    const { outcome } = verifierFor(kit, { routes })
    const token = kit.token()
    const stranger = kit.token({ key: issuerKeys.stranger, header: { kid: issuerKeys.es256.kid } })
    const kinds = [
      { make: () => kit.call({ token }), expected: 'allow' },
      { make: () => kit.call(), expected: 'allow' },
      { make: () => kit.call({ token: stranger }), expected: 'signature_invalid' },
      {
        make: () => kit.call({ token, proof: { signature: (honest) => Buffer.from(honest).reverse() } }),
        expected: 'proof_signature_invalid',
      },
      { make: () => kit.call({ token, proof: { key: agentKeys.eight } }), expected: 'proof_key_mismatch' },
    ]
    const asked = Array.from({ length: 100 }, (_, n) => kinds[n % kinds.length] as (typeof kinds)[number])
    const verdicts = await Promise.all(asked.map(({ make }) => outcome(make())))
    expect(verdicts).toEqual(asked.map(({ expected }) => expected))
  })

  test('an unverified signature is never valid, with any Promise of the host', async () => {
    const Native = Promise
    /** As in some libraries: its results are instances neither of it nor of the runtime's class. */
    function Other(run: ConstructorParameters<typeof Native>[0]) {
      const inner = new Native(run)
      // biome-ignore lint/suspicious/noThenProperty: that is what it is for.
      return { then: inner.then.bind(inner) }
    }
    const kit = createKit()
    const { outcome } = verifierFor(kit, { routes })
    const stranger = kit.token({ key: issuerKeys.stranger, header: { kid: issuerKeys.es256.kid } })
    const calls = [kit.call({ token: stranger }), kit.call({ token: stranger }), kit.call()]
    const requests = [...calls, kit.call({ proof: { signature: (honest) => Buffer.from(honest).reverse() } })]
    vi.stubGlobal('Promise', Object.assign(Other, { all: Native.all.bind(Native) }))
    const verdicts = requests.map(outcome)
    vi.unstubAllGlobals()
    const answers = ['signature_invalid', 'signature_invalid', 'allow', 'proof_signature_invalid']
    expect(await Promise.all(verdicts)).toEqual(answers)
  })

  test('one proof, many times at once, is let in once', async () => {
    const kit = createKit()
    const { outcome } = verifierFor(kit, { routes })
    const call = kit.call()
    const verdicts = await Promise.all(Array.from({ length: 50 }, () => outcome(call)))
    expect(verdicts.filter((verdict) => verdict === 'allow')).toHaveLength(1)
    expect(verdicts.filter((verdict) => verdict === 'proof_replayed')).toHaveLength(49)
  })

  test('a token that ends while its proof waits in the pool has ended', async () => {
    const kit = createKit()
    const { outcome } = verifierFor(kit, { routes })
    const token = kit.token({ claims: { exp: kit.seconds + 30 } })
    expect(await outcome(kit.call({ token }))).toBe('allow')
    const verdicts = [outcome(kit.call({ token })), outcome(kit.call({ token }))]
    kit.advance(40)
    expect(await Promise.all(verdicts)).toEqual(['token_expired', 'token_expired'])
  })
})

describe('what was used up is none again at its very end, with no tolerance for clocks', () => {
  const policy = {
    token: { clockTolerance: 0 },
    routes: { 'GET /orders/:id': { once: true }, 'GET /stock/:id': 'authenticated' },
  } as const

  test('a proof, to the millisecond', async () => {
    const kit = createKit()
    const { outcome } = verifierFor(kit, policy)
    const token = kit.token()
    const call = kit.call({ token, path: '/stock/1' })
    expect(await outcome(call)).toBe('allow')
    for (const milliseconds of [59_900, 59_999, 60_000]) {
      const later = createKit().now + milliseconds
      kit.now = later
      expect(await outcome(call), String(milliseconds)).toBe('proof_replayed')
    }
    kit.now += 1
    expect(await outcome(call)).toBe('proof_stale')
  })

  test('a proof that ends while it waits in the pool', async () => {
    const kit = createKit()
    const { outcome } = verifierFor(kit, policy)
    const token = kit.token({ claims: { exp: kit.seconds + 200 } })
    const used = kit.call({ token, path: '/stock/1' })
    expect(await outcome(used)).toBe('allow')
    kit.now += 59_990
    const verdicts = [outcome(kit.call({ token, path: '/stock/1' })), outcome(used)]
    kit.now += 1500
    expect(await Promise.all(verdicts)).toEqual(['allow', 'proof_stale'])
  })

  test('a proof whose own exp passes while it waits in the pool', async () => {
    const kit = createKit()
    const { outcome } = verifierFor(kit, policy)
    const token = kit.token()
    const ending = kit.call({ token, path: '/stock/1', proof: { claims: { exp: kit.seconds + 1 } } })
    const verdicts = [outcome(kit.call({ token, path: '/stock/1' })), outcome(ending)]
    kit.now += 1500
    expect(await Promise.all(verdicts)).toEqual(['allow', 'proof_stale'])
  })

  test.each([1, 2, 3, 4, 5, 6])(
    'a token for one request, when the clock ticks after %i looks at it',
    async (looks) => {
      const kit = createKit()
      const end = kit.now + 290_000
      let left = Number.POSITIVE_INFINITY
      const now = () => (left-- > 0 ? kit.now : end)
      const { outcome } = verifierFor(kit, policy, { now })
      const token = kit.token()
      kit.now = end - 1
      expect(await outcome(kit.call({ token }))).toBe('allow')
      left = looks
      expect(await outcome(kit.call({ token }))).not.toBe('allow')
    },
  )
})

describe('the short way into the store of this process', () => {
  const routes = { 'GET /orders/:id': 'authenticated' } as const

  test('is not taken past a remember that somebody has put there', async () => {
    const kit = createKit()
    const replayStore = memoryReplayStore({ now: () => kit.now })
    const remember = vi.spyOn(replayStore, 'remember')
    const { outcome } = verifierFor(kit, { routes }, { replayStore })
    const call = kit.call()
    expect([await outcome(call), await outcome(call)]).toEqual(['allow', 'proof_replayed'])
    expect(remember).toHaveBeenCalledTimes(2)
    expect(remember.mock.calls[0]?.[0]).toMatch(/^[\w-]{43}\.[\w-]{43}$/)
  })

  test('distinguishes proofs by their whole jti, and by their agent', async () => {
    const kit = createKit()
    const { outcome } = verifierFor(
      kit,
      { routes },
      { replayStore: memoryReplayStore({ now: () => kit.now }) },
    )
    const token = kit.token()
    const call = (jti: string) => kit.call({ token, proof: { claims: { jti } } })
    const ids = [
      'a',
      'a\0',
      'a\0\0',
      '\0a',
      'ä',
      '\u0141',
      'A',
      '.',
      'a.b',
      'x'.repeat(255),
      `${'x'.repeat(255)}y`,
      '\ud83d\ude00',
    ]
    for (const jti of ids) expect(await outcome(call(jti)), JSON.stringify(jti)).toBe('allow')
    for (const jti of ids) expect(await outcome(call(jti)), JSON.stringify(jti)).toBe('proof_replayed')
    const other = kit.token({ claims: { cnf: { jkt: agentKeys.eight.thumbprint } } })
    const proof = { key: agentKeys.eight, claims: { jti: 'a' } }
    expect(await outcome(kit.call({ token: other, proof }))).toBe('allow')
  })
})

describe('the bounds of the caches', () => {
  const routes = { 'GET /orders/:id': 'authenticated' } as const

  test('of nothing keep nothing, and let in and refuse all the same', async () => {
    const kit = createKit()
    const { outcome } = verifierFor(kit, { routes }, { cache: { tokens: 0, proofKeys: 0, assertions: 0 } })
    const token = kit.token()
    for (let n = 0; n < 3; n++) expect(await outcome(kit.call({ token }))).toBe('allow')
    expect(await outcome(kit.call({ token: `${token.slice(0, -4)}AAAA` }))).not.toBe('allow')
  })

  test.each([
    [{ tokens: -1 }, /options\.cache\.tokens/],
    [{ tokens: 1.5 }, /options\.cache\.tokens/],
    [{ tokens: '1' }, /options\.cache\.tokens/],
    [{ proofKeys: Number.NaN }, /options\.cache\.proofKeys/],
    [{ entries: 5 }, /options\.cache\.entries/],
    [5, /options\.cache/],
    [null, /options\.cache/],
  ])('cannot be %j', (cache, message) => {
    expect(() => verifierFor(createKit(), { routes }, { cache: cache as never })).toThrow(message)
  })
})
