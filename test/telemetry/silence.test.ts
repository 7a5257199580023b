import { Buffer } from 'node:buffer'
import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import pino from 'pino'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { rows } from '../../fixtures/conformance/index.js'
import { type Expectation, type Row, stepsOf } from '../../fixtures/conformance/row.js'
import { benchOf } from '../../fixtures/conformance/run.js'
import { createKit, type WireRequest } from '../../fixtures/kit.js'
import { denials, type Policy } from '../../src/index.js'
import { printable } from '../../src/printable.js'
import { secretsOf } from '../conformance/judge.js'
import { type Collector, startCollector } from './collector.js'
import { createSdk } from './sdk.js'

let collector: Collector
beforeAll(async () => {
  collector = await startCollector()
})
afterAll(() => collector.close())

it('nothing that the whole table sends comes back in a span, a metric, a log or an answer', async () => {
  const written = (['log', 'info', 'warn', 'error', 'debug'] as const).map((name) => vi.spyOn(console, name))
  const warnings: string[] = []
  const onWarning = (warning: Error) => warnings.push(`${warning.message} ${warning.stack}`)
  process.on('warning', onWarning)
  const spans = new InMemorySpanExporter()
  const sdk = createSdk(collector.url, [new SimpleSpanProcessor(spans)])
  const lines: string[] = []
  const log = pino({ base: null, timestamp: false }, { write: (line) => void lines.push(line) })

  const leaks: { row: string; where: string; leaked: string[] }[] = []
  const everySecret = new Set<string>()
  const patterns = new Set<string>()
  const issuers = new Set<string>()
  let searched = 0

  for (const row of rows) {
    const kit = createKit(row.now)
    const { verifier, policy } = benchOf(withTelemetry(row), kit)
    for (const key of Object.keys(policy.routes)) patterns.add(key.slice(key.indexOf(' ') + 1))
    for (const issuer of verifier.metadata().authorization_servers) issuers.add(issuer)
    for (const step of stepsOf(row, kit)) {
      kit.advance(step.after ?? 0)
      const request = await step.request(kit)
      const headers: Record<string, string[]> = {}
      for (const [name, value] of request.headers) {
        headers[name.toLowerCase()] = [...(headers[name.toLowerCase()] ?? []), value]
      }
      spans.reset()
      lines.length = 0
      const decision = await verifier.verify({ method: request.method, url: request.url, headers })
      kit.nonce = 'headers' in decision ? decision.headers['dpop-nonce'] : undefined

      const verified = verifiedTexts(request, step.on?.core ?? step.expect)
      const exported = JSON.stringify(
        spans.getFinishedSpans().map(({ name, attributes, events, status }) => {
          return { name, attributes, events, status }
        }),
      )
      search(row, 'exported', exported, request, policy, verified)
      search(row, 'logged', lines.join(), request, policy, verified)
      // A handler is given the grant; whoever is refused is given nothing.
      if (decision.outcome !== 'allow') {
        const answer = JSON.stringify(decision).replaceAll(kit.nonce ?? '\0', '')
        search(row, 'answered', answer.replace(/resource_metadata=\S+/, ''), request, policy, [])
      }
      for (const secret of secretsOf(request)) if (secret.length >= 20) everySecret.add(secret)
      expect(lines.length, row.id).toBe(1)
    }
    verifier.close()
  }
  await sdk.flush()
  await new Promise((resolve) => setImmediate(resolve))
  process.off('warning', onWarning)

  expect(leaks).toEqual([])
  expect(searched).toBeGreaterThan(3 * 500)
  expect(written.flatMap((spy) => spy.mock.calls)).toEqual([])

  // What was collected over the whole run, as it went over the wire, warnings included.
  const page = await sdk.prometheusPage()
  const words = [collector.text(), page, ...warnings].join('\n').match(/[\w.~+/-]{20,}/g) ?? []
  const known = JSON.stringify([[...patterns], [...issuers]])
  expect([...new Set(words)].filter((word) => everySecret.has(word) && !known.includes(word))).toEqual([])
  expect(collector.spans().length).toBeGreaterThan(500)

  for (const { points } of collector.metrics()) {
    for (const { attributes } of points) {
      const {
        'ajwt.code': code,
        'http.route': route,
        'ajwt.issuer': issuer,
        'ajwt.outcome': outcome,
        ...rest
      } = attributes
      expect(rest).toEqual({})
      if (code !== undefined) expect(Object.keys(denials)).toContain(code)
      if (route !== undefined) expect([...patterns]).toContain(route)
      if (issuer !== undefined) expect([...issuers]).toContain(issuer)
      if (outcome !== undefined)
        expect(['allow', 'public', 'anonymous', 'deny', 'observe', 'success', 'failure']).toContain(outcome)
    }
  }
  for (const spy of written) spy.mockRestore()
  await sdk.close()

  function withTelemetry(row: Row): Row {
    return {
      ...row,
      options: (kit) => ({
        ...row.options?.(kit),
        tracerProvider: sdk.tracerProvider,
        meterProvider: sdk.meterProvider,
        traceAllowed: 1,
        onDecision(decision, facts) {
          const { code, stage } = decision as { code?: string; stage?: string }
          log.info({ outcome: decision.outcome, code, stage, ...facts })
        },
      }),
    }
  }

  function search(
    row: Row,
    where: string,
    text: string,
    request: WireRequest,
    policy: Policy,
    verified: string[],
  ) {
    searched++
    const known = JSON.stringify([policy, denials, verified])
    const leaked = secretsOf(request).filter((secret) => text.includes(secret) && !known.includes(secret))
    if (leaked.length > 0) leaks.push({ row: row.id, where, leaked })
  }
}, 120_000)

/** The two claims that telemetry may tell, where the table says that the token's signature was good. */
function verifiedTexts(request: WireRequest, expected: Expectation): string[] {
  if ('stage' in expected && (expected.stage === 'request' || expected.stage === 'token')) return []
  if (expected.outcome === 'public' || expected.outcome === 'anonymous') return []
  const credentials = request.headers.find(([name]) => name.toLowerCase() === 'authorization')?.[1] ?? ''
  const payload = credentials.split('.')[1] ?? ''
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString() || '{}')
  return [claims.sub, claims.intent?.workflow_id].filter((text) => typeof text === 'string').map(printable)
}
