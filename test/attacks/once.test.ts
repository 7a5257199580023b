import { afterEach, describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../fixtures/conformance/policy.js'
import { send } from '../../fixtures/conformance/wire.js'
import { type AppSpec, frameworks } from '../../fixtures/frameworks.js'
import { createKit, type WireRequest } from '../../fixtures/kit.js'
import { createMiddlewareCore, createRuleMiddleware } from '../../middleware/core.js'
import { createVerifier, memoryReplayStore } from '../../src/index.js'

test.each(Object.entries(frameworks))(
  'on %s a token is used up once a request, however many rules on its way say so',
  async (_, start) => {
    const kit = createKit()
    const policy = {
      ...defaultPolicy(),
      routes: { 'GET /once': { once: true }, 'GET /later': 'authenticated', 'GET /twice': { once: true } },
    } as const
    const spec: AppSpec = {
      policies: [createVerifier(policy, { now: () => kit.now })],
      routes: [
        { method: 'get', path: '/once', rule: { once: true } },
        { method: 'get', path: '/later', rule: { once: true } },
        { method: 'get', path: '/twice', rule: { once: true, scope: 'orders:read' } },
      ],
    }
    const app = await start(spec)
    try {
      const ask = async (path: string, token: string) => {
        const request: WireRequest = kit.call({ path, token })
        const { status, body } = await send(Number(new URL(app.origin).port), request)
        const { code, route } = JSON.parse(body) as { code?: string; route?: string }
        return [status, code ?? route]
      }
      const token = kit.token()
      expect(await ask('/once', token)).toEqual([200, '/once'])
      expect(await ask('/once', token)).toEqual([401, 'token_reused'])
      expect(await ask('/later', token)).toEqual([401, 'token_reused'])
      expect(await ask('/twice', kit.token())).toEqual([200, '/twice'])
      // Only the use is counted once: the second rule's other conditions still apply.
      const narrow = kit.token({ claims: { scope: '' } })
      expect(await ask('/twice', narrow)).toEqual([403, 'scope_insufficient'])
      const fresh = kit.token()
      expect(await ask('/later', fresh)).toEqual([200, '/later'])
      expect(await ask('/once', fresh)).toEqual([401, 'token_reused'])
    } finally {
      await app.close()
    }
  },
)

const oncePolicy = {
  ...defaultPolicy(),
  routes: { 'GET /once': { once: true }, 'GET /orders/:id': { scope: 'orders:read' } },
} as const
/** Another policy: another verifier, which decides for itself. */
const secondPolicy = { ...oncePolicy, routes: { ...oncePolicy.routes, 'GET /other': 'public' } } as const

async function asker(origin: string) {
  const port = Number(new URL(origin).port)
  return async (request: WireRequest) => {
    const { status, body } = await send(port, request)
    return status === 200 ? 200 : (JSON.parse(body) as { code: string }).code
  }
}

describe.each(Object.entries(frameworks))('on %s', (_, start) => {
  const closing: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const close of closing.splice(0)) await close()
  })
  const routes: AppSpec['routes'] = [
    { method: 'get', path: '/once', rule: { once: true } },
    { method: 'get', path: '/orders/:id' },
  ]

  async function open(policies: AppSpec['policies']) {
    const app = await start({ policies, routes })
    closing.push(app.close)
    return asker(app.origin)
  }

  test('one policy on two routers takes a proof, and a token for one use, once', async () => {
    const [one, two] = [await open([oncePolicy]), await open([oncePolicy])]
    const kit = createKit(Date.now())
    const call = kit.call()
    expect(await one(call)).toBe(200)
    expect(await two(call)).toBe('proof_replayed')
    const token = kit.token()
    expect(await one(kit.call({ path: '/once', token }))).toBe(200)
    expect(await two(kit.call({ path: '/once', token }))).toBe('token_reused')
  })

  test('a request that two verifiers decide is no replay of itself; a second request is', async () => {
    const ask = await open([oncePolicy, secondPolicy])
    const kit = createKit(Date.now())
    const call = kit.call()
    expect(await ask(call)).toBe(200)
    expect(await ask(call)).toBe('proof_replayed')
    const both = await Promise.all([kit.call()].flatMap((same) => [ask(same), ask(same)]))
    expect(both.sort()).toEqual([200, 'proof_replayed'])
    const token = kit.token()
    expect(await ask(kit.call({ path: '/once', token }))).toBe(200)
    expect(await ask(kit.call({ path: '/once', token }))).toBe('token_reused')
  })

  test('what one of two verifiers has used up is known to the other for the next request', async () => {
    const stores = [memoryReplayStore(), memoryReplayStore()] as const
    const [first, second] = [
      createVerifier(oncePolicy, { replayStore: stores[0] }),
      createVerifier(secondPolicy, { replayStore: stores[1] }),
    ]
    const both = await open([first, second])
    const [onlyFirst, onlySecond] = [await open([first]), await open([second])]
    const call = createKit(Date.now()).call()
    expect(await both(call)).toBe(200)
    expect(await onlyFirst(call)).toBe('proof_replayed')
    expect(await onlySecond(call)).toBe('proof_replayed')
  })
})

test('rules that ask at once for the use of one token by one request use it once', async () => {
  const kit = createKit(Date.now())
  const known = new Set<string>()
  const replayStore = {
    async remember(key: string) {
      const isNew = !known.has(key)
      known.add(key)
      await new Promise((done) => setTimeout(done, 5))
      return isNew
    },
  }
  const core = createMiddlewareCore({ ...oncePolicy }, { replayStore })
  const rule = createRuleMiddleware({ once: true })
  const source = {}
  const { method, url, headers } = kit.call()
  const passage = await core.pass(source, { method, url, headers: Object.fromEntries(headers) })
  expect(passage.kind).toBe('continue')
  const passages = await Promise.all([rule(source, {}), rule(source, {}), rule(source, {})])
  expect(passages.map(({ kind }) => kind)).toEqual(['continue', 'continue', 'continue'])
})
