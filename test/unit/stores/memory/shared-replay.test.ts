import express from 'express'
import supertest from 'supertest'
import { describe, expect, it, vi } from 'vitest'
import { defaultPolicy } from '../../../../fixtures/conformance/policy.js'
import { createKit, type WireRequest } from '../../../../fixtures/kit.js'
import type * as Package from '../../../../src/index.js'
import { outcomeOf } from '../../../support/verify.js'

const NAME = Symbol.for('ajwt.replay.1')
const places = globalThis as { [NAME]?: unknown }
const policy = {
  ...defaultPolicy(),
  routes: { 'GET /orders/:id': { scope: 'orders:read' }, 'GET /once': { once: true } },
} as const
const other = { ...policy, routes: { ...policy.routes, 'GET /more': 'public' } } as const

/** One more copy of the package in this process. */
async function copy(): Promise<typeof Package> {
  vi.resetModules()
  return import('../../../../src/index.js')
}

async function ask(verifier: Package.Verifier, { method, url, headers }: WireRequest): Promise<string> {
  return outcomeOf(await verifier.verify({ method, url, headers: Object.fromEntries(headers) }))
}

describe('the replay store that the verifiers of a process share', () => {
  it('leaves alone what somebody else has put under its name', async () => {
    for (const found of [42, null, {}, { store: {} }, { store: { remember: () => true } }]) {
      Object.defineProperty(globalThis, NAME, { value: found, configurable: true })
      const { createVerifier } = await copy()
      const [one, two] = [createVerifier(policy), createVerifier(policy)]
      const call = createKit(Date.now()).call()
      expect(await ask(one, call)).toBe('allow')
      expect(await ask(two, call)).toBe('proof_replayed')
      expect(places[NAME]).toBe(found)
      delete places[NAME]
    }
  })

  it('is one for verifiers of different policies', async () => {
    const { createVerifier } = await copy()
    const [one, two] = [createVerifier(policy), createVerifier(other)]
    const kit = createKit(Date.now())
    const call = kit.call()
    expect(await ask(one, call)).toBe('allow')
    expect(await ask(two, call)).toBe('proof_replayed')
    const token = kit.token()
    expect(await ask(one, kit.call({ path: '/once', token }))).toBe('allow')
    expect(await ask(two, kit.call({ path: '/once', token }))).toBe('token_reused')
  })

  it('is one for two copies of the package, and cannot be replaced', async () => {
    const verifiers = []
    for (let each = 0; each < 3; each++) verifiers.push((await copy()).createVerifier(policy))
    const kit = createKit(Date.now())
    for (const first of verifiers) {
      const call = kit.call()
      const [token] = [kit.token()]
      expect(await ask(first, call)).toBe('allow')
      expect(await ask(first, kit.call({ path: '/once', token }))).toBe('allow')
      for (const verifier of verifiers) {
        expect(await ask(verifier, call)).toBe('proof_replayed')
        expect(await ask(verifier, kit.call({ path: '/once', token }))).toBe('token_reused')
      }
    }
    expect(() => {
      places[NAME] = undefined
    }).toThrow(TypeError)
    expect(Object.keys(globalThis)).not.toContain(NAME)
  })

  it('is not used by a verifier with a clock or a store of its own', async () => {
    const { createVerifier, memoryReplayStore } = await copy()
    const call = createKit(Date.now()).call()
    const verifiers = [{}, { now: Date.now }, { replayStore: memoryReplayStore() }].map((options) =>
      createVerifier(policy, options),
    )
    for (const verifier of verifiers) {
      expect(await ask(verifier, call)).toBe('allow')
      expect(await ask(verifier, call)).toBe('proof_replayed')
    }
  })
})

describe('one store in memory', () => {
  it('knows the same, whether a verifier has the store itself, a wrapper of it, or is of another copy', async () => {
    const first = await copy()
    const second = await copy()
    const store = first.memoryReplayStore()
    const wrapper = { remember: (key: string, ttl: number) => store.remember(key, ttl) }
    const verifiers = [
      first.createVerifier(policy, { replayStore: store }),
      first.createVerifier(policy, { replayStore: wrapper }),
      second.createVerifier(policy, { replayStore: store }),
    ]
    const kit = createKit(Date.now())
    for (const verifier of verifiers) {
      const call = kit.call()
      expect(await ask(verifier, call)).toBe('allow')
      for (const each of verifiers) expect(await ask(each, call)).toBe('proof_replayed')
    }
  })
})

describe('two copies of an adapter on the way of one request', () => {
  async function makeApp(policies: readonly Package.Policy[]): Promise<express.Express> {
    const app = express()
    for (const each of policies) {
      vi.resetModules()
      const { ajwt, requireIntent } = await import('../../../../middleware/express.js')
      app.use(ajwt(each), requireIntent({ once: true }))
    }
    return app.get('/once', (_req, res) => {
      res.json({})
    })
  }

  const send = (app: express.Express, { headers }: WireRequest) =>
    supertest(app).get('/once').set(Object.fromEntries(headers))

  it('use its proof and its token up once', async () => {
    const app = await makeApp([policy, other])
    const kit = createKit(Date.now())
    const token = kit.token()
    const call = kit.call({ path: '/once', token })
    await send(app, call).expect(200)
    expect((await send(app, call)).body.code).toBe('proof_replayed')
    expect((await send(app, kit.call({ path: '/once', token }))).body.code).toBe('token_reused')
  })

  it('refuse a replay, though the first of them only observes it', async () => {
    const app = await makeApp([{ ...policy, mode: 'observe' }, other])
    const call = createKit(Date.now()).call({ path: '/once' })
    await send(app, call).expect(200)
    expect((await send(app, call)).body.code).toBe('proof_replayed')
  })
})
