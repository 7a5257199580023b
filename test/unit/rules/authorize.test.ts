import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import express from 'express'
import { describe, expect, it, test } from 'vitest'
import { defaultPolicy } from '../../../fixtures/conformance/policy.js'
import { createKit } from '../../../fixtures/kit.js'
import { ajwt } from '../../../middleware/express.js'
import {
  type Authorize,
  type AuthorizeContext,
  authzen,
  createVerifier,
  type LimitStore,
  memoryLimitStore,
  PolicyError,
  type RouteRule,
  type VerifierOptions,
} from '../../../src/index.js'
import { listen } from '../../support/listen.js'
import { verifierFor } from '../../support/verify.js'

const kit = createKit()
const ask = (authorize: Authorize, rule: RouteRule = {}, options: VerifierOptions = {}) =>
  verifierFor(kit, { routes: { 'GET /orders/:id': rule } }, { authorize, ...options }).outcome(kit.call())

describe('the option authorize', () => {
  it.each<[string, unknown, string]>([
    ['true', true, 'allow'],
    ['{ allow: true }', { allow: true, reason: 'fine' }, 'allow'],
    ['false', false, 'not_authorized'],
    ['{ allow: false }', { allow: false }, 'not_authorized'],
    ['undefined', undefined, 'authorizer_unavailable'],
    ['1', 1, 'authorizer_unavailable'],
    ['a text', 'allow', 'authorizer_unavailable'],
    ['an object without a verdict', { decision: true }, 'authorizer_unavailable'],
    ['{ allow: 1 }', { allow: 1 }, 'authorizer_unavailable'],
    ['null', null, 'authorizer_unavailable'],
  ])('that answers %s', async (_, answer, outcome) => {
    expect(await ask(() => answer as boolean)).toBe(outcome)
    expect(await ask(async () => answer as boolean)).toBe(outcome)
  })

  it('that throws or rejects', async () => {
    const fail = () => {
      throw new Error('no connection')
    }
    expect(await ask(fail)).toBe('authorizer_unavailable')
    expect(await ask(async () => fail())).toBe('authorizer_unavailable')
  })

  it('that is late: its signal is aborted', async () => {
    const signals: AbortSignal[] = []
    const late: Authorize = async ({ signal }) => {
      signals.push(signal)
      await pause(500)
      return true
    }
    expect(await ask(late, {}, { authorizeTimeout: 0.05 })).toBe('authorizer_unavailable')
    expect(signals[0]?.aborted).toBe(true)
    const inTime: Authorize = async ({ signal }) => {
      signals.push(signal)
      await pause(5)
      return true
    }
    expect(await ask(inTime)).toBe('allow')
    expect(signals[1]?.aborted).toBe(false)
  })

  it('that throws with a token in its message, which the cause does not repeat', async () => {
    const token = kit.token()
    const causes: unknown[] = []
    const options: VerifierOptions = { onDecision: (_, { cause }) => void causes.push(cause) }
    const fail = () => {
      throw new Error(`no answer for ${token}`)
    }
    expect(await ask(fail, {}, options)).toBe('authorizer_unavailable')
    expect(JSON.stringify(causes)).toContain('no answer for [JWS]')
  })

  it('that is waited for until the token has expired', async () => {
    let now = kit.seconds * 1000
    const options = { now: () => now, authorizeTimeout: 5 }
    const wait: Authorize = () => {
      now += 3_600_000
      return true
    }
    expect(await ask(() => true, {}, options)).toBe('allow')
    expect(await ask(wait, {}, options)).toBe('token_expired')
  })

  it('gets the grant, the route, the parameters, the method and the claims', async () => {
    const contexts: AuthorizeContext[] = []
    const authorize: Authorize = (context) => contexts.push(context) > 0
    expect(await ask(authorize)).toBe('allow')
    expect(contexts[0]).toMatchObject({
      grant: { agent: { id: 'agent-7' }, route: '/orders/:id' },
      route: '/orders/:id',
      params: { id: '42' },
      method: 'GET',
      claims: { sub: 'agent-7' },
    })
  })

  it('is asked on authenticated routes, after the conditions, and never before them', async () => {
    const asked: string[] = []
    const authorize: Authorize = ({ route }) => {
      asked.push(route ?? '')
      return false
    }
    const routes = {
      'GET /orders/:id': { scope: 'admin' },
      'GET /me': 'authenticated',
      'GET /off': { authorize: false },
    } as const
    const { outcome } = verifierFor(kit, { routes }, { authorize })
    expect(await outcome(kit.call())).toBe('scope_insufficient')
    expect(await outcome(kit.call({ path: '/me' }))).toBe('not_authorized')
    expect(await outcome(kit.call({ path: '/off' }))).toBe('allow')
    expect(asked).toEqual(['/me'])
  })

  it('comes before limits and once: what it denies uses up neither', async () => {
    const answers = [false, true]
    const limitStore: LimitStore = memoryLimitStore()
    const rule: RouteRule = { once: true, limit: { per: 'token', max: 1 } }
    const { outcome } = verifierFor(
      kit,
      { routes: { 'GET /orders/:id': rule } },
      { authorize: () => answers.shift() ?? true, limitStore },
    )
    const token = kit.token()
    expect(await outcome(kit.call({ token }))).toBe('not_authorized')
    expect(await outcome(kit.call({ token }))).toBe('allow')
    expect(await outcome(kit.call({ token }))).toBe('limit_exceeded')
  })

  it('is asked by a rule of a handler that says so, and by no other', async () => {
    const asked: unknown[] = []
    const authorize: Authorize = ({ params }) => {
      asked.push(params)
      return params.id !== 'other'
    }
    const verifier = createVerifier(defaultPolicy(), { now: () => kit.now, authorize })
    const { method, url, headers } = kit.call()
    const fields = new Headers(headers.map(([...field]) => field))
    const decision = await verifier.verify({ method, url, headers: fields })
    expect(await verifier.check(decision, { scope: 'orders:read' }, { id: 'other' })).toBeUndefined()
    const denial = await verifier.check(decision, { authorize: true }, { id: 'other' })
    expect(denial?.code).toBe('not_authorized')
    expect(asked).toEqual([{ id: '42' }, { id: 'other' }])
  })

  it('that a rule of a handler waits for until the token has expired', async () => {
    let now = kit.seconds * 1000
    let delay = 0
    const authorize: Authorize = () => {
      now += delay
      return true
    }
    const verifier = createVerifier(defaultPolicy(), { now: () => now, authorize })
    const { method, url, headers } = kit.call()
    const fields = new Headers(headers.map(([...field]) => field))
    const decision = await verifier.verify({ method, url, headers: fields })
    expect(await verifier.check(decision, { authorize: true })).toBeUndefined()
    delay = 3_600_000
    expect((await verifier.check(decision, { authorize: true }))?.code).toBe('token_expired')
  })

  it('is not called by explain', async () => {
    let asked = 0
    const verifier = createVerifier(defaultPolicy(), { now: () => kit.now, authorize: () => ++asked > 0 })
    const { method, url, headers } = kit.call()
    const fields = new Headers(headers.map(([...field]) => field))
    const { stages } = await verifier.explain({ method, url, headers: fields })
    const checks = stages.flatMap((stage) => stage.checks)
    expect(checks.find(({ name }) => name === 'authorize')?.outcome).toBe('not_checked')
    expect(asked).toBe(0)
  })

  it('must be there for a rule that demands it', async () => {
    const rule = { authorize: true } as const
    expect(() => createVerifier({ ...defaultPolicy(), routes: { 'GET /orders/:id': rule } })).toThrow(
      /routes\["GET \/orders\/:id"\]\.authorize: is true, and the option authorize is missing/,
    )
    const verifier = createVerifier(defaultPolicy(), { now: () => kit.now })
    const { method, url, headers } = kit.call()
    const fields = new Headers(headers.map(([...field]) => field))
    const decision = await verifier.verify({ method, url, headers: fields })
    expect((await verifier.check(decision, rule))?.code).toBe('internal_error')
  })

  it.each([0, -1, 61, Number.NaN, '1'])('refuses a timeout of %s', (authorizeTimeout) => {
    expect(() => createVerifier(defaultPolicy(), { authorizeTimeout: authorizeTimeout as number })).toThrow(
      PolicyError,
    )
  })

  it('is only reported in mode observe', async () => {
    const { verify } = verifierFor(kit, { mode: 'observe' }, { authorize: () => false })
    expect(await verify(kit.call())).toMatchObject({ outcome: 'observe', code: 'not_authorized' })
  })

  it('reports its reason to the operator, not to the caller', async () => {
    const causes: unknown[] = []
    const { verify } = verifierFor(
      kit,
      {},
      {
        authorize: () => ({ allow: false, reason: 'embargo' }),
        onDecision: (_, { cause }) => void causes.push(cause?.reason),
      },
    )
    const decision = await verify(kit.call())
    expect([causes, JSON.stringify(decision).includes('embargo')]).toEqual([['embargo'], false])
  })
})

test('a client that goes away cancels the hook', async () => {
  let cancelled = () => {}
  const isCancelled = new Promise<void>((done) => {
    cancelled = done
  })
  let asked = () => {}
  const isAsked = new Promise<void>((done) => {
    asked = done
  })
  const authorize: Authorize = ({ signal }) =>
    new Promise(() => {
      signal.addEventListener('abort', cancelled)
      asked()
    })
  const app = express().use(ajwt(defaultPolicy(), { now: () => kit.now, authorize, authorizeTimeout: 60 }))
  const { origin, close } = await listen(app)
  const { headers } = kit.call()
  const controller = new AbortController()
  const answer = fetch(`${origin}/orders/42`, {
    headers: headers.map(([...field]) => field),
    signal: controller.signal,
  }).catch(() => 'gone')
  await isAsked
  controller.abort()
  await isCancelled
  expect(await answer).toBe('gone')
  close()
})

/** A decision point over HTTP: OpenID AuthZEN 1.0 section 6. */
async function decisionPoint(answer: RequestListener) {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = ''
  for await (const chunk of request) text += chunk
  return JSON.parse(text)
}

describe('authzen', () => {
  it('asks a decision point, with a token', async () => {
    const asked: unknown[] = []
    const pdp = await decisionPoint(async (request, response) => {
      const body = await bodyOf(request)
      asked.push([
        request.method,
        request.url,
        request.headers.authorization,
        request.headers['content-type'],
        body,
      ])
      const { id } = (body.resource as { properties: { id: string } }).properties
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ decision: id === '42', context: { reason: 'not yours' } }))
    })
    const { outcome, verify } = verifierFor(
      kit,
      {},
      { authorize: authzen({ url: pdp.url, token: 'secret' }) },
    )
    expect(await outcome(kit.call())).toBe('allow')
    expect(await verify(kit.call({ path: '/orders/43' }))).toMatchObject({ code: 'not_authorized' })
    expect(asked[0]).toEqual([
      'POST',
      '/access/v1/evaluation',
      'Bearer secret',
      'application/json',
      {
        subject: {
          type: 'agent',
          id: 'agent-7',
          properties: expect.objectContaining({ issuer: 'https://as.example.com', initiated_by: 'user-1' }),
        },
        action: { name: 'GET' },
        resource: { type: 'route', id: '/orders/:id', properties: { id: '42' } },
        context: expect.objectContaining({ workflow_id: 'refund', workflow_step: 'issue' }),
      },
    ])
    pdp.close()
  })

  it('takes a base path, an endpoint and a request of the app', async () => {
    const urls: unknown[] = []
    const pdp = await decisionPoint(async (request, response) => {
      urls.push([request.url, (await bodyOf(request)).subject])
      response.end('{"decision":true}')
    })
    const request = () => ({
      subject: { type: 'user', id: 'alice' },
      action: { name: 'read' },
      resource: { type: 'order', id: '42' },
    })
    for (const path of ['/tenant/', '/own/evaluation'])
      expect(await ask(authzen({ url: pdp.url + path, request }))).toBe('allow')
    expect(urls).toEqual([
      ['/tenant/access/v1/evaluation', { type: 'user', id: 'alice' }],
      ['/own/evaluation', { type: 'user', id: 'alice' }],
    ])
    pdp.close()
  })

  it.each<[string, RequestListener]>([
    ['another status', (_, response) => response.writeHead(201).end('{"decision":true}')],
    ['an error', (_, response) => response.writeHead(500).end('{"decision":true}')],
    [
      'a redirect, even to another decision',
      ({ url }, response) =>
        url === '/other'
          ? response.end('{"decision":true}')
          : response.writeHead(307, { location: '/other' }).end(),
    ],
    ['no JSON', (_, response) => response.end('true')],
    ['null', (_, response) => response.end('null')],
    ['a text for a decision', (_, response) => response.end('{"decision":"true"}')],
    ['no decision', (_, response) => response.end('{"allow":true}')],
    ['nothing', (request) => request.destroy()],
    ['nothing in time', () => {}],
  ])('denies with 503 for %s', async (_, answer) => {
    const pdp = await decisionPoint(answer)
    expect(await ask(authzen({ url: pdp.url }), {}, { authorizeTimeout: 0.3 })).toBe('authorizer_unavailable')
    pdp.close()
  })

  it.each(['http://pdp.example.com', 'ftp://127.0.0.1', 'pdp', ''])('refuses the URL %s', (url) => {
    expect(() => authzen({ url })).toThrow(/authzen\.url: must be an https URL/)
  })
})
