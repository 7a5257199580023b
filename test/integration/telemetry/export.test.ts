import { context, metrics, trace } from '@opentelemetry/api'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { AUDIENCE, createKit, ISSUER, issuerJwks, type WireRequest } from '../../../fixtures/kit.js'
import { createVerifier, memoryReplayStore, type Policy, type VerifierOptions } from '../../../src/index.js'
import { type Collector, startCollector } from '../../support/telemetry/collector.js'
import { createSdk } from '../../support/telemetry/sdk.js'

const policy: Policy = {
  issuer: { url: ISSUER, jwks: issuerJwks() },
  audience: AUDIENCE,
  routes: {
    'GET /health': 'public',
    'GET /orders/:id': { scope: 'orders:read' },
    'GET /admin/:id': { scope: 'admin' },
    'GET /trial': { scope: 'admin', mode: 'observe' },
  },
}

const toRequest = ({ method, url, headers }: WireRequest) => ({
  method,
  url,
  headers: Object.fromEntries(headers),
})

let collector: Collector
let sdk: ReturnType<typeof createSdk>
beforeAll(async () => {
  collector = await startCollector()
})
afterAll(() => collector.close())
afterEach(async () => {
  trace.disable()
  metrics.disable()
  context.disable()
  await sdk.close()
})

/** Options that name the SDK, so that no test touches a global. */
const given = () => {
  sdk = createSdk(collector.url)
  return { tracerProvider: sdk.tracerProvider, meterProvider: sdk.meterProvider }
}

/** The points of one metric in the latest export, by their attributes. */
function points(name: string): Record<string, number> {
  const metric = collector.metrics().find((candidate) => candidate.name === name)
  return Object.fromEntries(
    (metric?.points ?? []).map(({ attributes, value }) => [
      Object.entries(attributes)
        .sort()
        .map(([key, text]) => `${key}=${text}`)
        .join(' '),
      value,
    ]),
  )
}

const newSpans = () => {
  const before = collector.spans().length
  return () => collector.spans().slice(before)
}

describe('an OTLP collector', () => {
  it('gets one span for each refusal, with what was verified by then', async () => {
    const options = given()
    const spans = newSpans()
    const kit = createKit()
    const verifier = createVerifier(policy, { ...options, now: () => kit.now })
    const before = Date.now()
    await verifier.verify(toRequest(kit.call()))
    await verifier.verify({ method: 'GET', url: '/health', headers: {} })
    await verifier.verify({ method: 'GET', url: '/orders/42', headers: {} })
    await verifier.verify(toRequest(kit.call({ path: '/admin/1' })))
    await verifier.verify(toRequest(kit.call({ path: '/trial' })))
    const after = Date.now()
    await sdk.flush()

    const verified = { 'ajwt.agent.id': 'agent-7', 'ajwt.workflow.id': 'refund', 'ajwt.delegation.depth': 0 }
    const rule = { 'ajwt.code': 'scope_insufficient', 'ajwt.stage': 'rule', 'http.request.method': 'GET' }
    expect(spans().map(({ attributes }) => attributes)).toEqual([
      {
        'ajwt.outcome': 'deny',
        'ajwt.code': 'credentials_missing',
        'ajwt.stage': 'request',
        'http.request.method': 'GET',
        'http.route': '/orders/:id',
      },
      { 'ajwt.outcome': 'deny', ...rule, 'http.route': '/admin/:id', ...verified },
      { 'ajwt.outcome': 'observe', ...rule, 'http.route': '/trial', ...verified },
    ])
    for (const span of spans()) {
      expect(span).toMatchObject({ name: 'ajwt.verify', scope: 'ajwt', kind: 1 })
      const [from, to] = [Number(span.startTimeUnixNano) / 1e6, Number(span.endTimeUnixNano) / 1e6]
      expect(from).toBeGreaterThanOrEqual(before - 1)
      expect(to).toBeGreaterThan(from)
      expect(to).toBeLessThanOrEqual(after + 2)
    }
  })

  it('gets every verdict counted by outcome, code and route, and timed in microseconds', async () => {
    const options = given()
    const { kit, verify } = startOn(options)
    await verify(kit.call())
    await verify(kit.call())
    await verify(kit.call({ path: '/admin/1' }))
    await verify(kit.call({ path: '/nowhere/to/be/found' }))
    await verify(kit.call({ path: '/trial' }))
    await sdk.flush()

    expect(points('ajwt.decisions')).toEqual({
      'ajwt.outcome=allow http.route=/orders/:id': 2,
      'ajwt.code=scope_insufficient ajwt.outcome=deny http.route=/admin/:id': 1,
      'ajwt.code=route_not_declared ajwt.outcome=deny': 1,
      'ajwt.code=scope_insufficient ajwt.outcome=observe http.route=/trial': 1,
    })
    expect(points('ajwt.verify.duration')).toEqual({
      'ajwt.outcome=allow': 2,
      'ajwt.outcome=deny': 2,
      'ajwt.outcome=observe': 1,
    })
    const duration = collector.metrics().find(({ name }) => name === 'ajwt.verify.duration')
    expect(duration?.unit).toBe('s')
    const bounds = duration?.points[0]?.bounds ?? []
    // A warm verification takes some hundred microseconds: a p99 needs buckets there.
    expect(bounds.filter((bound) => bound < 0.001).length).toBeGreaterThanOrEqual(5)
  })

  it('gets the fetches of keys, by issuer and outcome', async () => {
    const options = given()
    const remote: Policy = { ...policy, issuer: { url: ISSUER, jwksUri: `${ISSUER}/jwks` } }
    let isDown = false
    const verifier = createVerifier(remote, {
      ...options,
      fetch: async () => {
        if (isDown) throw new TypeError('fetch failed')
        return Response.json(issuerJwks())
      },
    })
    await verifier.refreshKeys()
    isDown = true
    await verifier.refreshKeys()
    await verifier.refreshKeys()
    await sdk.flush()
    expect(points('ajwt.jwks.refreshes')).toEqual({
      [`ajwt.issuer=${ISSUER} ajwt.outcome=success`]: 1,
      [`ajwt.issuer=${ISSUER} ajwt.outcome=failure`]: 2,
    })
  })

  it('gets size and refusals of the replay stores: shared ones once, several summed up, closed ones gone', async () => {
    const options = given()
    const kit = createKit()
    const now = () => kit.now
    const shared = memoryReplayStore({ now, maxEntries: 1 })
    const bare = { remember: () => true }
    const broken = {
      remember: () => true,
      get size(): number {
        throw new Error('not today')
      },
    }
    const [one, other, alone, mute, cursed] = [shared, shared, memoryReplayStore({ now }), bare, broken].map(
      (replayStore) => createVerifier(policy, { ...options, now, replayStore }),
    )
    // The second proof finds the store full: it cannot be told from one that was forgotten.
    for (const verifier of [one, other, alone, mute, cursed]) await verifier?.verify(toRequest(kit.call()))
    await sdk.flush()
    expect(points('ajwt.replay_store.size')).toEqual({ '': 2 })
    expect(points('ajwt.replay_store.refusals')).toEqual({ '': 1 })
    one?.close()
    alone?.close()
    await sdk.flush()
    expect(points('ajwt.replay_store.size')).toEqual({ '': 1 })
    other?.close()
    other?.close()
    await sdk.flush()
    // The delta of an asynchronous counter must not be negative when its store goes.
    expect(points('ajwt.replay_store.refusals')['']).toBe(1)
  })

  it('gets the share of allowed requests that was asked for, and every refusal', async () => {
    const options = given()
    for (const [traceAllowed, fewest, most] of [
      [0, 0, 0],
      [0.5, 20, 80],
      [1, 100, 100],
    ] as const) {
      const spans = newSpans()
      const { kit, verify } = startOn({ ...options, traceAllowed })
      for (let count = 0; count < 100; count++) await verify(kit.call())
      await verify(kit.call({ path: '/admin/1' }))
      await sdk.flush()
      const allowed = spans().filter(({ attributes }) => attributes['ajwt.outcome'] === 'allow')
      expect(allowed.length, `${traceAllowed}`).toBeGreaterThanOrEqual(fewest)
      expect(allowed.length, `${traceAllowed}`).toBeLessThanOrEqual(most)
      expect(spans()).toHaveLength(allowed.length + 1)
      for (const { attributes } of allowed) {
        expect(Object.keys(attributes).sort()).toEqual([
          'ajwt.agent.id',
          'ajwt.delegation.depth',
          'ajwt.outcome',
          'ajwt.workflow.id',
          'http.request.method',
          'http.route',
        ])
      }
    }
  })

  it('is told that a 503 is an error, and that a refusal is none', async () => {
    const options = given()
    const spans = newSpans()
    const down = {
      remember: () => {
        throw new Error('down')
      },
    }
    const { kit, verify } = startOn({ ...options, replayStore: down })
    await verify(kit.call())
    await verify(kit.call({ proof: null }))
    await sdk.flush()
    expect(spans().map(({ status }) => status)).toEqual([
      expect.objectContaining({ code: 2, message: 'replay_store_unavailable' }),
      expect.objectContaining({ code: 0 }),
    ])
  })

  it('gets all of it from a verifier that was made, and used, before the SDK was registered', async () => {
    const { kit, verify } = startOn({ traceAllowed: 1 })
    sdk = createSdk(collector.url)
    await verify(kit.call({ path: '/admin/1' }))
    const spans = newSpans()
    sdk.tracerProvider.register()
    metrics.setGlobalMeterProvider(sdk.meterProvider)
    await verify(kit.call({ path: '/admin/2' }))
    await verify(kit.call())
    await sdk.flush()
    expect(spans().map(({ attributes }) => attributes['ajwt.outcome'])).toEqual(['deny', 'allow'])
    expect(points('ajwt.decisions')).toEqual({
      'ajwt.code=scope_insufficient ajwt.outcome=deny http.route=/admin/:id': 1,
      'ajwt.outcome=allow http.route=/orders/:id': 1,
    })
    expect(points('ajwt.replay_store.size')).toEqual({ '': 3 })

    // And from there to another SDK, as tests of an application do.
    const first = sdk
    metrics.disable()
    sdk = createSdk(collector.url)
    metrics.setGlobalMeterProvider(sdk.meterProvider)
    await verify(kit.call())
    await sdk.flush()
    expect(points('ajwt.decisions')).toEqual({ 'ajwt.outcome=allow http.route=/orders/:id': 1 })
    await first.close()
  })
})

describe("Prometheus' page", () => {
  it('has what the queries ask for', async () => {
    const { kit, verify } = startOn(given())
    await verify(kit.call({ path: '/admin/1' }))
    await verify(kit.call())
    const page = await sdk.prometheusPage()
    expect(page).toMatch(
      /^ajwt_decisions_total\{ajwt_outcome="deny",ajwt_code="scope_insufficient",http_route="\/admin\/:id"[^}]*\} 1/m,
    )
    expect(page).toMatch(/^ajwt_verify_duration_bucket\{ajwt_outcome="allow"[^}]*le="0.0005"\} /m)
    expect(page).toMatch(/^ajwt_replay_store_size(\{[^}]*\})? 2/m)
    expect(page).toMatch(/^# TYPE ajwt_replay_store_refusals_total counter/m)
  })
})

describe('what fails in telemetry', () => {
  const boom = () => {
    throw new Error('boom')
  }

  it.each<[string, VerifierOptions]>([
    ['a tracer provider', { tracerProvider: { getTracer: boom } }],
    ['a tracer', { tracerProvider: { getTracer: () => ({ startSpan: boom, startActiveSpan: boom }) } }],
    ['a meter provider', { meterProvider: { getMeter: boom } }],
    ['a meter', { meterProvider: { getMeter: () => ({}) as never } }],
  ])('changes no verdict: %s', async (_, options) => {
    const told: string[] = []
    const onDecision: VerifierOptions['onDecision'] = ({ outcome }) => void told.push(outcome)
    const { kit, verify } = startOn({ ...given(), traceAllowed: 1, ...options, onDecision })
    expect((await verify(kit.call())).outcome).toBe('allow')
    expect(await verify(kit.call({ path: '/admin/1' }))).toMatchObject({ code: 'scope_insufficient' })
    expect(told).toEqual(['allow', 'deny'])
  })

  it('is refused at once where the option itself is wrong', () => {
    given()
    for (const traceAllowed of [-0.1, 1.1, Number.NaN, '1', null]) {
      expect(() => createVerifier(policy, { traceAllowed } as VerifierOptions)).toThrow(/traceAllowed/)
    }
  })
})

/** A verifier and an honest agent, on the SDK that is given. */
function startOn(options: VerifierOptions) {
  const kit = createKit()
  const verifier = createVerifier(policy, { now: () => kit.now, ...options })
  return { kit, verify: (request: WireRequest) => verifier.verify(toRequest(request)) }
}
