import { AsyncLocalStorage } from 'node:async_hooks'
import { pbkdf2, verify as verifySignature } from 'node:crypto'
import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { defaultPolicy } from '../../fixtures/conformance/policy.js'
import { delegatedToken, mintChain, parties, threeHops } from '../../fixtures/delegation-kit.js'
import { frameworks } from '../../fixtures/frameworks.js'
import { agentKeys, createKit, jws, type WireRequest } from '../../fixtures/kit.js'
import { createVerifier } from '../../src/index.js'
import { type Algorithm, algorithms } from '../../src/jws/algorithms.js'
import { importPublicKey, type PublicKey } from '../../src/jws/jwk.js'
import { readCompact, type UnverifiedJws } from '../../src/jws/jws.js'
import { createSignatureCheck } from '../../src/jws/signature-node.js'
import { countRequestInTick, isTickCrowded } from '../../src/lib/event-loop-tick.js'
import { verifierFor } from '../support/verify.js'

// Counted, not replaced: calls for the thread pool have a callback.
vi.mock('node:crypto', async (original) => {
  const actual = await original<typeof import('node:crypto')>()
  return { ...actual, verify: vi.fn(actual.verify) }
})

afterEach(() => vi.mocked(verifySignature).mockClear())

/** How many signatures were verified on the event loop, and how many in the thread pool. */
function places(): { loop: number; pool: number } {
  const { calls } = vi.mocked(verifySignature).mock
  const pool = calls.filter((call) => typeof (call as unknown[])[4] === 'function').length
  vi.mocked(verifySignature).mockClear()
  return { loop: calls.length - pool, pool }
}

/** Sends requests in one piece, as a busy socket brings them, and gives the status of each answer. */
async function sendAtOnce(origin: string, requests: readonly WireRequest[]): Promise<number[]> {
  const { host, hostname, port } = new URL(origin)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  const pieces = requests.map(({ method, url, headers }, index) => {
    const last = index === requests.length - 1 ? [['connection', 'close'] as const] : []
    const fields = [['host', host] as const, ...headers, ...last].map(
      ([name, value]) => `${name}: ${value}\r\n`,
    )
    return `${method} ${url} HTTP/1.1\r\n${fields.join('')}\r\n`
  })
  socket.write(pieces.join(''))
  let text = ''
  socket.setEncoding('latin1').on('data', (piece) => {
    text += piece
  })
  await once(socket, 'close')
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))
}

/** Sends one request on a connection of the agent's, and gives the status of its answer. */
async function ask(agent: Agent, origin: string, { method, url, headers }: WireRequest): Promise<number> {
  const sent = request(origin + url, { agent, method, headers: Object.fromEntries(headers) }).end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  await once(response.resume(), 'end')
  return response.statusCode as number
}

describe.each(Object.keys(frameworks))('requests that come at once, in %s', (framework) => {
  async function withApp(use: (kit: ReturnType<typeof createKit>, origin: string) => Promise<void>) {
    const kit = createKit()
    const verifier = createVerifier(
      { ...defaultPolicy(), routes: { 'GET /orders/:id': 'authenticated' } },
      { now: () => kit.now },
    )
    const start = frameworks[framework] as NonNullable<(typeof frameworks)[string]>
    const app = await start({ policies: [verifier], routes: [{ method: 'get', path: '/orders/:id' }] })
    try {
      await use(kit, app.origin)
    } finally {
      await app.close()
    }
  }

  test('are verified in the thread pool; one after the other, on the event loop', () =>
    withApp(async (kit, origin) => {
      const token = kit.token()
      const calls = () => Array.from({ length: 5 }, () => kit.call({ token }))
      for (const call of calls()) expect(await sendAtOnce(origin, [call])).toEqual([200])
      expect(places()).toEqual({ loop: 6, pool: 0 })
      expect(await sendAtOnce(origin, calls())).toEqual([200, 200, 200, 200, 200])
      expect(places()).toEqual({ loop: 0, pool: 5 })
      for (const call of calls()) expect(await sendAtOnce(origin, [call])).toEqual([200])
      expect(places()).toEqual({ loop: 5, pool: 0 })
    }))

  test('are seen to come at once on connections of their own, too', () =>
    withApp(async (kit, origin) => {
      const token = kit.token()
      const agent = new Agent({ keepAlive: true })
      const askAll = () =>
        Promise.all(Array.from({ length: 6 }, () => ask(agent, origin, kit.call({ token }))))
      const allowed = [200, 200, 200, 200, 200, 200]
      // Opens the connections, which may take turns at it.
      expect(await askAll()).toEqual(allowed)
      places()
      expect(await askAll()).toEqual(allowed)
      expect(places().pool).toBeGreaterThan(0)
      agent.destroy()
    }))

  test('each get their own decision, and a repeated proof is accepted once', () =>
    withApp(async (kit, origin) => {
      const token = kit.token()
      const used = kit.call({ token })
      const wrong = (honest: Uint8Array) => Buffer.from(honest).reverse()
      const calls = [
        kit.call({ token }),
        used,
        kit.call({ token: { signature: wrong } }),
        used,
        kit.call({ token, proof: { signature: wrong } }),
        kit.call(),
        kit.call({ token, proof: { key: agentKeys.eight } }),
        used,
      ]
      const statuses = await sendAtOnce(origin, calls)
      // Which copy of a proof is the first to come out of the pool is anybody's guess: one of them is.
      const copies = [1, 3, 7].map((index) => statuses[index] as number)
      expect(copies.sort()).toEqual([200, 401, 401])
      expect([0, 2, 4, 5, 6].map((index) => statuses[index])).toEqual([200, 401, 401, 200, 401])
      expect(places().pool).toBeGreaterThan(4)
    }))
})

describe('an event-loop tick', () => {
  const nextTick = () => new Promise((resolve) => setImmediate(resolve))

  test('ends, though a test has stopped the clocks meanwhile', async () => {
    vi.useFakeTimers({ toFake: ['setImmediate'] })
    countRequestInTick()
    vi.useRealTimers()
    await nextTick()
    countRequestInTick()
    expect(isTickCrowded()).toBe(false)
    countRequestInTick()
    expect(isTickCrowded()).toBe(true)
    await nextTick()
    expect(isTickCrowded()).toBe(false)
  })

  test('has one request in it, however many verifiers that passes', async () => {
    const kit = createKit()
    const make = () =>
      createVerifier(
        { ...defaultPolicy(), routes: { 'GET /orders/:id': 'authenticated' } },
        { now: () => kit.now },
      )
    const start = frameworks['Express 5'] as NonNullable<(typeof frameworks)[string]>
    const app = await start({ policies: [make(), make()], routes: [{ method: 'get', path: '/orders/:id' }] })
    places()
    expect(await sendAtOnce(app.origin, [kit.call()])).toEqual([200])
    expect(places()).toEqual({ loop: 4, pool: 0 })
    await app.close()
  })
})

describe('where the thread pool is blocked', () => {
  const { input, signature } = readCompact(jws({ alg: 'ES256' }, {}, agentKeys.seven), 1000) as UnverifiedJws
  const signed = () =>
    [
      importPublicKey(agentKeys.seven.jwk) as PublicKey,
      algorithms.get('ES256') as Algorithm,
      input,
      signature,
    ] as const

  /** Blocks every thread for some seconds. */
  const block = () =>
    Promise.all(
      Array.from(
        { length: Number(process.env.UV_THREADPOOL_SIZE ?? 4) },
        () => new Promise((resolve) => pbkdf2('p', 's', 1_000_000, 32, 'sha512', resolve)),
      ),
    )

  test('signatures are verified on the loop, outside of any request, and though a timer was lost before', async () => {
    const check = createSignatureCheck(() => true)
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    expect(await check(...signed())).toBe(true)
    vi.useRealTimers()
    const request = new AsyncLocalStorage<string>()
    const seenIn: unknown[] = []
    const actual = await vi.importActual<typeof import('node:crypto')>('node:crypto')
    vi.mocked(verifySignature).mockImplementation(((...parts: Parameters<typeof actual.verify>) => {
      seenIn.push(request.getStore())
      return actual.verify(...parts)
    }) as typeof actual.verify)
    const blocked = block()
    let isBlocked = true
    blocked.then(() => {
      isBlocked = false
    })
    expect(await request.run('request', () => check(...signed()))).toBe(true)
    expect(isBlocked).toBe(true)
    expect(seenIn).toEqual(['request', undefined])
    vi.mocked(verifySignature).mockImplementation(actual.verify)
    await blocked
  }, 60_000)
})

describe('a chain that is verified beside another request', () => {
  const policy = { routes: { 'GET /orders/:id': 'authenticated' } } as const

  /** A verifier that has another request under way until `release` is called. */
  async function busyVerifier(kit: ReturnType<typeof createKit>) {
    let release = (_isNew: boolean) => {}
    const held = new Promise<boolean>((resolve) => {
      release = resolve
    })
    let asked = 0
    const remember = () => (asked++ === 0 ? held : true)
    const { outcome } = verifierFor(kit, policy, { replayStore: { remember } })
    const other = outcome(kit.call())
    await vi.waitFor(() => expect(asked).toBe(1))
    places()
    const end = async () => {
      release(true)
      expect(await other).toBe('allow')
    }
    return { outcome, end }
  }

  test('is verified in the thread pool, hop by hop, and once', async () => {
    const kit = createKit()
    const { outcome, end } = await busyVerifier(kit)
    const token = delegatedToken(kit, await mintChain(kit))
    expect(await outcome(kit.call({ token }))).toBe('allow')
    expect(places()).toEqual({ loop: 0, pool: 5 })
    expect(await outcome(kit.call({ token }))).toBe('allow')
    expect(places()).toEqual({ loop: 0, pool: 1 })
    await end()
    expect(await outcome(kit.call({ token }))).toBe('allow')
    expect(places()).toEqual({ loop: 1, pool: 0 })
  })

  test.each([0, 1, 2])('is refused for the signature of hop %i, however often', async (hop) => {
    const kit = createKit()
    const { outcome, end } = await busyVerifier(kit)
    const token = delegatedToken(
      kit,
      await mintChain(kit, threeHops, { [hop]: { signer: parties.stranger.key } }),
    )
    for (let times = 0; times < 3; times++) {
      expect(await outcome(kit.call({ token }))).toBe('delegation_signature_invalid')
    }
    await end()
    expect(await outcome(kit.call({ token }))).toBe('delegation_signature_invalid')
  })

  test('is of no use where the token has ended meanwhile', async () => {
    const kit = createKit()
    const { outcome, end } = await busyVerifier(kit)
    const token = delegatedToken(kit, await mintChain(kit), { claims: { exp: kit.seconds + 20 } })
    const actual = await vi.importActual<typeof import('node:crypto')>('node:crypto')
    let count = 0
    vi.mocked(verifySignature).mockImplementation(((...parts: Parameters<typeof actual.verify>) => {
      // The token, the proof, and the last of the hops.
      if (++count === 5) kit.advance(40)
      return actual.verify(...parts)
    }) as typeof actual.verify)
    expect(await outcome(kit.call({ token }))).toBe('token_expired')
    expect(count).toBe(5)
    vi.mocked(verifySignature).mockImplementation(actual.verify)
    await end()
  })
})
