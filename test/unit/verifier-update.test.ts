import express from 'express'
import { describe, expect, it, test } from 'vitest'
import { defaultPolicy } from '../../fixtures/conformance/policy.js'
import { AUDIENCE, createKit, ISSUER, issuerJwks, type WireRequest } from '../../fixtures/kit.js'
import { ajwt, requireIntent } from '../../middleware/express.js'
import {
  createVerifier,
  type Policy,
  PolicyError,
  type RouteRule,
  type VerifierOptions,
} from '../../src/index.js'
import { ask } from '../support/ask.js'
import { outcomeOf } from '../support/verify.js'

const kit = createKit()
const withRule = (rule: RouteRule, more: Partial<Policy> = {}): Policy => ({
  ...defaultPolicy(),
  routes: { 'GET /orders/:id': rule },
  ...more,
})
const open = withRule({})
const closed = withRule({ scope: 'admin' })

function start(policy: Policy, options: VerifierOptions = {}) {
  const verifier = createVerifier(policy, { now: () => kit.now, ...options })
  const verify = ({ method, url, headers }: WireRequest) =>
    verifier.verify({ method, url, headers: new Headers(headers.map(([...field]) => field)) })
  return { verifier, verify, outcome: async (request: WireRequest) => outcomeOf(await verify(request)) }
}

describe('verifier.update', () => {
  it('replaces the policy, and the cached verdicts on tokens', async () => {
    const { verifier, outcome } = start(open)
    const token = kit.token()
    expect(await outcome(kit.call({ token }))).toBe('allow')
    verifier.update(closed)
    expect(await outcome(kit.call({ token }))).toBe('scope_insufficient')
    verifier.update({ ...open, audience: 'https://other.example.com', publicUrl: AUDIENCE })
    expect(await outcome(kit.call({ token }))).toBe('audience_mismatch')
    verifier.update(open)
    expect(await outcome(kit.call({ token }))).toBe('allow')
  })

  it('shows a frozen copy of the new policy, and leaves the object alone', () => {
    const { verifier } = start(open)
    const next = structuredClone(closed) as { routes: Record<string, RouteRule> } & Policy
    verifier.update(next)
    next.routes['GET /orders/:id'] = {}
    expect(verifier.policy).toMatchObject({ routes: { 'GET /orders/:id': { scope: 'admin' } } })
    expect(Object.isFrozen(verifier.policy) && Object.isFrozen(verifier.policy.routes)).toBe(true)
    expect(Object.isFrozen(next.routes)).toBe(false)
  })

  it('throws for a wrong policy and keeps the old one', async () => {
    const { verifier, outcome } = start(closed)
    const { policy } = verifier
    expect(() => verifier.update(withRule({ scop: 'x' } as RouteRule))).toThrow(PolicyError)
    expect(() => verifier.update(withRule({ authorize: true }))).toThrow(/option authorize is missing/)
    expect(verifier.policy).toBe(policy)
    expect(await outcome(kit.call())).toBe('scope_insufficient')
  })

  it('keeps the replay memory, single-use tokens and limits', async () => {
    const rule = { once: true, limit: { per: 'agent', max: 2, window: 60, name: 'all' } } as const
    const { verifier, outcome } = start(withRule(rule))
    const token = kit.token()
    const call = kit.call({ token })
    expect(await outcome(call)).toBe('allow')
    verifier.update(withRule({ ...rule, scope: 'orders:read' }))
    expect(await outcome(call)).toBe('proof_replayed')
    expect(await outcome(kit.call({ token }))).toBe('token_reused')
    expect([await outcome(kit.call()), await outcome(kit.call())]).toEqual(['allow', 'limit_exceeded'])
  })

  it('keeps the nonces', async () => {
    const policy = withRule({}, { proof: { nonce: 'required' } })
    const { verifier, verify } = start(policy)
    const first = await verify(kit.call())
    const nonce = 'headers' in first ? first.headers['dpop-nonce'] : undefined
    verifier.update(policy)
    const second = await verify(kit.call({ proof: { claims: { nonce } } }))
    expect(outcomeOf(second)).toBe('allow')
  })

  it('keeps the keys of an issuer that stays, and fetches those of another', async () => {
    const fetched: string[] = []
    const fetchKeys = async (url: string | URL | Request) => {
      fetched.push(String(url))
      return Response.json(issuerJwks())
    }
    const remote = (jwksUri: string) => withRule({}, { issuer: { url: ISSUER, jwksUri } })
    const { verifier, outcome } = start(remote(`${ISSUER}/jwks`), { fetch: fetchKeys as typeof fetch })
    expect(await outcome(kit.call())).toBe('allow')
    verifier.update({ ...remote(`${ISSUER}/jwks`), token: { maxLifetime: 600 } })
    expect([await outcome(kit.call()), fetched.length]).toEqual(['allow', 1])
    verifier.update(remote(`${ISSUER}/other`))
    expect([await outcome(kit.call()), fetched]).toEqual(['allow', [`${ISSUER}/jwks`, `${ISSUER}/other`]])
  })

  it('leaves a request that has begun with the policy that it began with', async () => {
    let answer = (_isNew: boolean) => {}
    const remember = () =>
      new Promise<boolean>((done) => {
        answer = done
      })
    const { verifier, verify } = start(open, { replayStore: { remember } })
    const waiting = verify(kit.call())
    await new Promise((done) => setTimeout(done, 50))
    verifier.update(closed)
    answer(true)
    const decision = await waiting
    expect(outcomeOf(decision)).toBe('allow')
    expect(await verifier.check(decision, { scope: 'orders:read' })).toBeUndefined()
  })

  it('is closed with the verifier, whichever policy a request has', async () => {
    const { verifier, outcome } = start(open)
    verifier.update(open)
    verifier.close()
    expect(await outcome(kit.call())).toBe('internal_error')
  })
})

test('a middleware that is mounted applies the new policy, and its requireIntent too', async () => {
  const verifier = createVerifier(open, { now: () => kit.now })
  const app = express().use(ajwt(verifier))
  app.get('/orders/:id', requireIntent({ scope: 'orders:read' }), (_req, res) => void res.send('handler'))
  expect((await ask(app, kit.call())).content).toBe('handler')
  verifier.update(closed)
  expect((await ask(app, kit.call())).content).toBe('scope_insufficient')
  verifier.update(open)
  expect((await ask(app, kit.call())).content).toBe('handler')
})
