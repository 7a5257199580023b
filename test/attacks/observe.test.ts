import express from 'express'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../fixtures/conformance/policy.js'
import { send } from '../../fixtures/conformance/wire.js'
import { type AppSpec, frameworks } from '../../fixtures/frameworks.js'
import { createKit, plainRequest } from '../../fixtures/kit.js'
import * as forExpress from '../../middleware/express.js'
import * as forHono from '../../middleware/hono.js'
import {
  createVerifier,
  type Decision,
  type DecisionFacts,
  type Denial,
  type Policy,
} from '../../src/index.js'
import { ask } from '../support/ask.js'

const kit = createKit()
const now = () => kit.now
const observed: Policy = { ...defaultPolicy(), mode: 'observe', routes: { '* /*': { scope: 'admin' } } }

describe.each(Object.entries(frameworks))('on %s', (_, start) => {
  async function outcomes(spec: AppSpec, ...requests: ReturnType<typeof plainRequest>[]) {
    const app = await start(spec)
    try {
      const statuses: number[] = []
      for (const request of requests) {
        statuses.push((await send(Number(new URL(app.origin).port), request)).status)
      }
      return { statuses, runs: app.runs() }
    } finally {
      await app.close()
    }
  }

  test('a rule that is to be enforced is, under a policy that only observes', async () => {
    const spec: AppSpec = {
      policies: [createVerifier(observed, { now })],
      routes: [
        { method: 'get', path: '/enforced', rule: { scope: 'admin', mode: 'enforce' } },
        { method: 'get', path: '/plain', rule: { scope: 'admin' } },
        { method: 'get', path: '/observed', rule: { scope: 'admin', mode: 'observe' } },
      ],
    }
    const { statuses, runs } = await outcomes(
      spec,
      plainRequest('GET', '/enforced'),
      kit.call({ path: '/enforced' }),
      plainRequest('GET', '/plain'),
      plainRequest('GET', '/observed'),
    )
    expect(statuses).toEqual([401, 401, 200, 200])
    expect(runs).toBe(2)
  })

  test('a rule with no middleware in front refuses, unless it only observes', async () => {
    const spec: AppSpec = {
      policies: [],
      routes: [
        { method: 'get', path: '/observed', rule: { scope: 'admin', mode: 'observe' } },
        { method: 'get', path: '/enforced', rule: { scope: 'admin', mode: 'enforce' } },
        { method: 'get', path: '/plain', rule: { scope: 'admin' } },
      ],
    }
    const { statuses, runs } = await outcomes(
      spec,
      plainRequest('GET', '/observed'),
      plainRequest('GET', '/enforced'),
      plainRequest('GET', '/plain'),
    )
    expect(statuses).toEqual([200, 503, 503])
    expect(runs).toBe(1)
  })

  test('a client gets the nonce while its denials are only observed', async () => {
    const policy: Policy = { ...observed, proof: { nonce: 'required' } }
    const app = await start({
      policies: [createVerifier(policy, { now })],
      routes: [{ method: 'get', path: '/x' }],
    })
    try {
      const response = await send(Number(new URL(app.origin).port), kit.call({ path: '/x' }))
      const headers = new Map(response.headers)
      expect(response.status).toBe(200)
      expect(headers.get('dpop-nonce')).toMatch(/^[\w-]{43}$/)
      expect(headers.get('cache-control')).toBe('no-store')
      // Nothing else of the refusal is for a request that goes on.
      expect(headers.get('www-authenticate')).toBeUndefined()
    } finally {
      await app.close()
    }
  })
})

describe('denials before any check of the middleware are reported to listeners', () => {
  function build(policy: Policy, rule: Parameters<typeof forExpress.requireIntent>[0]) {
    const told: [Decision, DecisionFacts][] = []
    const denied: Denial[] = []
    const onDenied = (denial: Denial) => void denied.push(denial)
    const verifier = createVerifier(policy, {
      now,
      onDecision: (...heard) => void told.push(heard),
    })
    const app = express()
    app.use(forExpress.ajwt(verifier))
    app.use('/rewritten', (req, _res, next) => {
      req.url = '/other'
      next()
    })
    app.use(forExpress.ajwt(verifier))
    app.get('/x', forExpress.requireIntent(rule, { onDenied }), (_req, res) => void res.end('handler'))
    return { app, told, denied }
  }

  test('no grant to apply a rule to: the stage is the request’s, and it is reported', async () => {
    const policy: Policy = { ...defaultPolicy(), routes: { 'GET /x': 'public' } }
    const { app, told, denied } = build(policy, { scope: 'admin' })
    expect(await ask(app, plainRequest('GET', '/x'))).toMatchObject({
      status: 401,
      content: 'credentials_missing',
    })
    expect(denied).toMatchObject([{ code: 'credentials_missing', stage: 'request', outcome: 'deny' }])
    expect(told.map(([decision]) => decision.outcome)).toEqual(['public', 'deny'])
    expect(told[1]).toMatchObject([{ stage: 'request', code: 'credentials_missing' }, { method: 'GET' }])
  })

  test('the same with no middleware in front', async () => {
    const denied: Denial[] = []
    const app = express()
    const onDenied = (denial: Denial) => void denied.push(denial)
    app.get('/x', forExpress.requireIntent({ scope: 'admin' }, { onDenied }))
    expect(await ask(app, plainRequest('GET', '/x'))).toMatchObject({ status: 503 })
    expect(denied).toMatchObject([{ code: 'internal_error', stage: 'request' }])
  })

  test('a rule that refuses: who was refused, and on which route of the policy', async () => {
    const policy: Policy = { ...defaultPolicy(), routes: { 'GET /:name': 'authenticated' } }
    const { app, told } = build(policy, { scope: 'admin' })
    expect(await ask(app, kit.call({ path: '/x' }))).toMatchObject({
      status: 403,
      content: 'scope_insufficient',
    })
    expect(told[1]).toMatchObject([
      { stage: 'rule', code: 'scope_insufficient', route: '/:name' },
      { agent: 'agent-7', route: '/:name', workflow: 'refund', delegationDepth: 0, method: 'GET' },
    ])
  })

  test('a path that was changed on the way: refused and reported, or under observation only reported', async () => {
    for (const [mode, status, outcomes] of [
      ['enforce', 403, ['public', 'deny']],
      ['observe', 404, ['public', 'observe']],
    ] as const) {
      const policy: Policy = { ...defaultPolicy(), mode, routes: { '* /*': 'public' } }
      const { app, told } = build(policy, {})
      expect(await ask(app, plainRequest('GET', '/rewritten/x'))).toMatchObject({ status })
      expect(told.map(([decision]) => decision.outcome)).toEqual(outcomes)
      expect(told[1]).toMatchObject([{ stage: 'rule', code: 'route_not_declared' }, { method: 'GET' }])
    }
  })
})

test('a body limit of Hono, which makes the request anew, does not hide the grant', async () => {
  const policy: Policy = { ...defaultPolicy(), routes: { 'POST /x': 'authenticated' } }
  const verifier = createVerifier(policy, { now })
  const app = new Hono<forHono.AjwtEnv>()
  let isAnew = false
  app.use(forHono.ajwt(verifier))
  app.use(async (c, next) => {
    const { raw } = c.req
    await bodyLimit({ maxSize: 1000 })(c, async () => {
      isAnew = c.req.raw !== raw
      await next()
    })
  })
  // Mounted again: it decides once a request, so that the proof is no replay.
  app.use(forHono.ajwt(verifier))
  app.post('/x', forHono.requireIntent({ agents: ['agent-7'] }), async (c) =>
    c.text(`${c.get('ajwt')?.agent.id} ${await c.req.text()}`),
  )
  const { headers } = kit.call({ method: 'POST', path: '/x' })
  // Of no known length, as a chunked body is.
  const body = new Blob(['hello']).stream()
  const init = {
    method: 'POST',
    headers: headers.map(([name, value]) => [name, value] as [string, string]),
    body,
  }
  const response = await app.fetch(
    new Request('http://localhost/x', { ...init, duplex: 'half' } as RequestInit),
  )
  expect(await response.text()).toBe('agent-7 hello')
  expect(response.status).toBe(200)
  expect(isAnew).toBe(true)
})
