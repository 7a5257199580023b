import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  AUDIENCE,
  createKit,
  type Header,
  ISSUER,
  issuerJwks,
  type Kit,
  plainRequest,
} from '../../../fixtures/kit.js'
import {
  createVerifier,
  type DecisionFacts,
  denials,
  type Policy,
  type Verifier,
} from '../../../src/index.js'
import { printable } from '../../../src/lib/sanitize.js'
import { type Collector, startCollector } from '../../support/telemetry/collector.js'
import { createSdk } from '../../support/telemetry/sdk.js'

const policy: Policy = {
  issuer: { url: ISSUER, jwks: issuerJwks() },
  audience: AUDIENCE,
  unmatched: 'authenticate',
  routes: { 'GET /orders/:id': { scope: 'orders:read' }, 'GET /admin/:id': { scope: 'admin' } },
}

/** The names that a span of ours may have, and no other. */
const names = [
  'ajwt.outcome',
  'ajwt.code',
  'ajwt.stage',
  'http.request.method',
  'http.route',
  'ajwt.agent.id',
  'ajwt.workflow.id',
  'ajwt.delegation.depth',
]

const megabyte = 'A'.repeat(1 << 20)

let collector: Collector
let sdk: ReturnType<typeof createSdk>
let spans: InMemorySpanExporter
let facts: DecisionFacts[]
let kit: Kit
let verifier: Verifier

beforeAll(async () => {
  collector = await startCollector()
})
afterAll(() => collector.close())
beforeEach(() => {
  spans = new InMemorySpanExporter()
  sdk = createSdk(collector.url, [new SimpleSpanProcessor(spans)])
  facts = []
  kit = createKit()
  verifier = createVerifier(policy, {
    now: () => kit.now,
    traceAllowed: 1,
    tracerProvider: sdk.tracerProvider,
    meterProvider: sdk.meterProvider,
    onDecision: (_, told) => void facts.push(told),
  })
})
afterEach(() => sdk.close())

function verify(method: string, url: string, headers: readonly Header[]) {
  return verifier.verify({ method, url, headers: Object.fromEntries(headers) })
}

/** Every attribute of every span, and every fact, as text. */
function texts(): string[] {
  const attributes = spans.getFinishedSpans().flatMap((span) => Object.values(span.attributes))
  return [...attributes, ...facts.flatMap((told) => Object.values(told))].filter(
    (value) => typeof value === 'string',
  )
}

describe('what an agent calls itself', () => {
  it.each([
    ['line breaks', 'agent-7\r\nlevel=fatal', 'agent-7\ufffd\ufffdlevel=fatal'],
    ['escape sequences', '\u001b[2J\u009b31magent', '\ufffd[2J\ufffd31magent'],
    ['separators of lines and paragraphs', 'a\u2028b\u2029c', 'a\ufffdb\ufffdc'],
    ['marks that turn text round or hide it', 'agent-\u202e7\u200b', 'agent-\ufffd7\ufffd'],
    ['nothing but a NUL', 'agent-7\0', 'agent-7\ufffd'],
    ['a pair that the cut would halve', `${'a'.repeat(127)}😀`, `${'a'.repeat(127)}\ufffd`],
    ['6,000 letters', 'a'.repeat(6000), 'a'.repeat(128)],
  ])('is made fit to be read: %s', (_, written, shown) => {
    expect(printable(written)).toBe(shown)
  })

  it('gets into a span and a log by that way alone, even where its issuer vouches for it', async () => {
    for (const name of ['agent-7\r\nlevel=fatal\u001b[2J', 'a'.repeat(200), 'a😀'.repeat(60)]) {
      const intent = kit.intent({ executed_by: name, workflow_id: name })
      const call = kit.call({ path: '/admin/1', token: { claims: { sub: name, intent } } })
      await verify(call.method, call.url, call.headers)
    }
    for (const text of texts()) {
      expect(text.length).toBeLessThanOrEqual(128)
      expect(text).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u)
    }
    expect(facts.some(({ agent }) => agent === 'a'.repeat(128))).toBe(true)
  })
})

describe('a caller who knows our names', () => {
  it('adds none and changes none', async () => {
    const spoof = {
      'ajwt.outcome': 'allow',
      'ajwt.code': 'none',
      'http.route': '/health',
      'ajwt.agent.id': 'root',
      ajwt: { outcome: 'allow', agent: { id: 'root' } },
      route: '/health',
    }
    const fields: Header[] = [
      ...Object.entries(spoof).map(([name, value]): Header => [name, String(value)]),
      ['baggage', 'ajwt.outcome=allow,ajwt.agent.id=root'],
      ['tracestate', 'ajwt.outcome=allow'],
      ['traceparent', `00-${'0'.repeat(32)}-${'0'.repeat(16)}-01`],
      ['__proto__', 'polluted'],
    ]
    const token = {
      claims: { ...spoof, intent: kit.intent({ ...spoof, workflow_id: 'x",ajwt_outcome="allow' }) },
    }
    const call = kit.call({ path: '/admin/1', token, headers: fields })
    await verify(call.method, `${call.url}?ajwt.outcome=allow&http.route=/health`, call.headers)
    expect(spans.getFinishedSpans().map(({ attributes }) => attributes)).toEqual([
      {
        'ajwt.outcome': 'deny',
        'ajwt.code': 'scope_insufficient',
        'ajwt.stage': 'rule',
        'http.request.method': 'GET',
        'http.route': '/admin/:id',
        'ajwt.agent.id': 'agent-7',
        'ajwt.workflow.id': 'x",ajwt_outcome="allow',
        'ajwt.delegation.depth': 0,
      },
    ])
    expect(await sdk.prometheusPage()).not.toMatch(/root|health|allow/)
  })
})

describe('a flood', () => {
  it('of megabytes stays small', async () => {
    const { headers } = kit.call()
    await verify(megabyte, '/orders/42', headers)
    await verify('GET', `/${megabyte}`, headers)
    await verify('GET', `/orders/${megabyte}`, headers)
    await verify('GET', `/orders/42?${megabyte}`, [['authorization', `DPoP ${megabyte}`]])
    await verify('GET', '/orders/42', [['authorization', megabyte]])
    await verify('GET', '/orders/42', [...headers.slice(0, 1), ['dpop', megabyte], ['baggage', megabyte]])
    await sdk.flush()
    expect(Math.max(...texts().map((text) => text.length))).toBeLessThanOrEqual(128)
    expect(texts().join()).not.toContain('AAAAAAAA')
    expect(await sdk.prometheusPage()).not.toContain('AAAAAAAA')
    expect(collector.text()).not.toContain('AAAAAAAA')
  })

  it('of agents, paths and methods makes no new series', async () => {
    const rounds = 300
    for (let round = 0; round < rounds; round++) {
      const name = `agent-${kit.id()}`
      const intent = kit.intent({ executed_by: name, workflow_id: `workflow-${kit.id()}` })
      const token = { claims: { sub: name, intent } }
      for (const path of [`/orders/${kit.id()}`, `/admin/${kit.id()}`, `/${kit.id()}`]) {
        const call = kit.call({ path, token })
        await verify(call.method, call.url, call.headers)
      }
      const forged = kit.token({
        header: { kid: kit.id(), alg: `ES${round}` },
        claims: { iss: `https://${kit.id()}` },
      })
      await verify(`M${'ABCDEFGHIJ'.at(round % 10)}${'KLMNOP'.at(round % 6)}`, `/${kit.id()}`, [
        ['authorization', `DPoP ${forged}`],
      ])
      const { method, url, headers } = plainRequest('GET', `/${kit.id()}`, [
        ['x-http-method-override', kit.id()],
      ])
      await verify(method, url, headers)
    }
    await sdk.flush()
    expect(facts).toHaveLength(5 * rounds)
    const metrics = collector.metrics()
    for (const { points } of metrics) {
      expect(points.length).toBeLessThan(10)
      for (const { attributes } of points) {
        expect(Object.keys(attributes).filter((key) => !names.includes(key))).toEqual([])
        expect(['allow', 'deny', undefined]).toContain(attributes['ajwt.outcome'])
        expect([...Object.keys(denials), undefined]).toContain(attributes['ajwt.code'])
        expect(['/orders/:id', '/admin/:id', undefined]).toContain(attributes['http.route'])
      }
    }
    const decisions = metrics.find(({ name }) => name === 'ajwt.decisions')?.points ?? []
    expect(decisions.reduce((sum, { value }) => sum + value, 0)).toBe(5 * rounds)
    const methods = spans.getFinishedSpans().map(({ attributes }) => attributes['http.request.method'])
    expect([...new Set(methods)].sort()).toEqual(['GET', '_OTHER'])
    for (const { attributes } of spans.getFinishedSpans()) {
      expect(Object.keys(attributes).filter((key) => !names.includes(key))).toEqual([])
    }
  })
})
