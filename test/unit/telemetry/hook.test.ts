import { trace } from '@opentelemetry/api'
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import pino from 'pino'
import supertest from 'supertest'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { frameworks } from '../../../fixtures/frameworks.js'
import { AUDIENCE, createKit, ISSUER, issuerJwks, type WireRequest } from '../../../fixtures/kit.js'
import {
  createVerifier,
  type Decision,
  type DecisionFacts,
  type Policy,
  type VerifierOptions,
} from '../../../src/index.js'

const policy: Policy = {
  issuer: { url: ISSUER, jwks: issuerJwks() },
  audience: AUDIENCE,
  routes: {
    'GET /health': 'public',
    'GET /feed': { anonymous: true },
    'GET /orders/:id': { scope: 'orders:read' },
    'GET /admin/:id': { scope: 'admin' },
    'DELETE /orders/:id': 'authenticated',
  },
}

type Hook = NonNullable<VerifierOptions['onDecision']>

function start(onDecision: Hook) {
  const kit = createKit()
  const verifier = createVerifier(policy, { now: () => kit.now, onDecision })
  const verify = ({ method, url, headers }: WireRequest) =>
    verifier.verify({ method, url, headers: Object.fromEntries(headers) })
  return { kit, verify }
}

const rejections: unknown[] = []
const onRejection = (reason: unknown) => rejections.push(reason)
beforeAll(() => void process.on('unhandledRejection', onRejection))
afterAll(() => {
  process.off('unhandledRejection', onRejection)
  expect(rejections).toEqual([])
})
afterEach(() => trace.disable())

describe('onDecision', () => {
  it('is called once for each request, with the verified facts', async () => {
    const told: [Decision, DecisionFacts][] = []
    const { kit, verify } = start((...args) => void told.push(args))
    const decisions = [
      await verify({ method: 'GET', url: '/health', headers: [] }),
      await verify({ method: 'GET', url: '/feed', headers: [] }),
      await verify(kit.call()),
      await verify(kit.call({ path: '/admin/1' })),
      await verify(kit.call({ token: 'no.token.atall', path: '/admin/1' })),
      await verify({ method: 'GET\r\nX: 1', url: '/admin/1', headers: [] }),
    ]
    expect(told.map(([decision]) => decision)).toEqual(decisions)
    const verified = { agent: 'agent-7', workflow: 'refund', delegationDepth: 0 }
    const unverified = { agent: undefined, workflow: undefined, delegationDepth: undefined }
    expect(told.map(([, facts]) => facts)).toMatchObject([
      { method: 'GET', route: '/health', ...unverified },
      { method: 'GET', route: '/feed', ...unverified },
      { method: 'GET', route: '/orders/:id', ...verified },
      { method: 'GET', route: '/admin/:id', ...verified },
      { method: 'GET', route: '/admin/:id', ...unverified },
      { method: '_OTHER', route: undefined, ...unverified },
    ])
    for (const [, facts] of told) {
      expect(facts.duration).toBeGreaterThan(0)
      expect(facts.duration).toBeLessThan(5)
      expect([facts.traceId, facts.overrules]).toEqual([undefined, undefined])
      expect(Object.isFrozen(facts)).toBe(true)
    }
  })

  it.each<[string, Hook]>([
    [
      'throws',
      () => {
        throw new Error('disk full')
      },
    ],
    ['rejects', () => Promise.reject(new Error('disk full'))],
    ['rejects later', () => new Promise((_, reject) => setTimeout(reject, 1, new Error('disk full')))],
    ['never settles', () => new Promise(() => {})],
    ['answers with a thenable that throws', () => ({ [`th${'en'}`]: () => nothing() }) as never],
    ['answers with a getter that throws', () => Object.defineProperty({}, 'then', { get: nothing }) as never],
    [
      'turns its arguments into something else',
      (decision, facts) => {
        for (const [target, name, value] of [
          [decision, 'outcome', 'allow'],
          [decision, 'grant', {}],
          [(decision as { headers?: object }).headers ?? {}, 'x-evil', '1'],
          [(decision as { body?: object }).body ?? {}, 'code', 'x'],
          [facts, 'agent', 'x'],
        ] as const) {
          Reflect.set(target, name, value)
        }
      },
    ],
  ])('changes no verdict and holds none up when it %s', async (_, hook) => {
    const { kit, verify } = start(hook)
    const allowed = await verify(kit.call())
    expect(allowed).toMatchObject({ outcome: 'allow', headers: {} })
    expect(Object.keys((allowed as { headers: object }).headers)).toEqual([])
    const denied = await verify(kit.call({ path: '/admin/1' }))
    expect(denied).toMatchObject({ outcome: 'deny', code: 'scope_insufficient' })
    expect(denied).toMatchObject({ body: { code: 'scope_insufficient' } })
    expect((denied as { headers: object }).headers).not.toHaveProperty('x-evil')
    await new Promise((resolve) => setTimeout(resolve, 10))
  })

  it('writes one line of JSON for each decision, under the trace of its span', async () => {
    const exporter = new InMemorySpanExporter()
    const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
    provider.register()
    const lines: string[] = []
    const log = pino({}, { write: (line) => void lines.push(line) })
    const { kit, verify } = start((decision, facts) => {
      const { code, stage } = decision as { code?: string; stage?: string }
      log.info({ outcome: decision.outcome, code, stage, ...facts }, 'access')
    })
    const agent = 'agent\n7\u2028{"level":60}\u001b[2J'
    await verify(kit.call({ path: '/admin/1' }))
    await verify(kit.call({ token: { claims: { sub: agent, intent: kit.intent({ executed_by: agent }) } } }))
    const tracer = provider.getTracer('test')
    const outer = tracer.startSpan('request')
    await tracer.startActiveSpan('request', async (span) => {
      await verify(kit.call())
      span.end()
    })
    outer.end()
    await provider.forceFlush()
    expect(lines.every((line) => line.endsWith('\n') && line.indexOf('\n') === line.length - 1)).toBe(true)
    for (const line of lines) expect(line).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f\u2028\u2029]/)
    const entries = lines.map((line) => JSON.parse(line))
    const spans = exporter.getFinishedSpans()
    const traceOf = (name: string) => spans.filter((span) => span.name === name)[0]?.spanContext().traceId
    expect(entries[0]).toMatchObject({ code: 'scope_insufficient', stage: 'rule', agent: 'agent-7' })
    expect(entries[0].traceId).toBe(traceOf('ajwt.verify'))
    expect(entries[2]).toMatchObject({ outcome: 'allow', traceId: traceOf('request') })
  })
})

describe.each(Object.entries(frameworks))('requireIntent on %s', (_, startApp) => {
  it('reports a decision that overrules an earlier one', async () => {
    const kit = createKit(Date.now())
    const told: [string, string | undefined, string | undefined][] = []
    const verifier = createVerifier(policy, {
      onDecision: ({ outcome }, { overrules, agent }) => void told.push([outcome, overrules, agent]),
    })
    const app = await startApp({
      policies: [verifier],
      routes: [{ method: 'delete', path: '/orders/:id', rule: { user: { acr: ['phr'] } } }],
    })
    try {
      const send = (claims: Record<string, unknown>) => {
        const { headers } = kit.call({ method: 'DELETE', token: { claims } })
        return supertest(app.origin).delete('/orders/42').set(Object.fromEntries(headers))
      }
      await send({ acr: 'phr' }).expect(200)
      await send({ acr: 'pwd' }).expect(401)
      expect(told).toEqual([
        ['allow', undefined, 'agent-7'],
        ['allow', undefined, 'agent-7'],
        ['deny', 'allow', 'agent-7'],
      ])
    } finally {
      await app.close()
    }
  })
})

function nothing(): never {
  throw new Error('nothing')
}
