import { Buffer } from 'node:buffer'
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import pino from 'pino'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { rows } from '../../../fixtures/conformance/index.js'
import { type Expectation, type Row, stepsOf } from '../../../fixtures/conformance/row.js'
import { setupOf } from '../../../fixtures/conformance/run.js'
import type { Kit, WireRequest } from '../../../fixtures/kit.js'
import { denials, type VerifierOptions } from '../../../src/index.js'
import { printable } from '../../../src/lib/sanitize.js'
import { secretsOf } from '../../support/conformance/assertions.js'
import { shareByPolicy, sharedKeyOf } from '../../support/conformance/shared.js'
import { type Collector, startCollector } from '../../support/telemetry/collector.js'
import { createSdk } from '../../support/telemetry/sdk.js'

let collector: Collector
beforeAll(async () => {
  collector = await startCollector()
})
afterAll(() => collector.close())

/** Some rows wait for a deadline: others go on meanwhile. */
const atOnce = 16

it('nothing that the whole table sends comes back in a span, a metric, a log or an answer', async () => {
  const written = (['log', 'info', 'warn', 'error', 'debug'] as const).map((name) => vi.spyOn(console, name))
  const warnings: string[] = []
  const onWarning = ({ message }: Error) => warnings.push(message)
  process.on('warning', onWarning)
  const sdk = createSdk(collector.url)

  const leaks: { row: string; where: string; leaked: string[] }[] = []
  const everySecret = new Set<string>()
  const patterns = new Set<string>()
  const issuers = new Set<string>()
  let searched = 0

  const observed = shareByPolicy(observe)
  const waiting = rows.filter((row) => sharedKeyOf(row) === undefined)
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let row = waiting.shift(); row !== undefined; row = waiting.shift()) await play(row)
    }),
  )
  for (const row of rows) if (sharedKeyOf(row) !== undefined) await play(row)
  await observed.close()
  await sdk.flush()
  process.off('warning', onWarning)

  expect(leaks).toEqual([])
  expect(searched).toBeGreaterThan(3 * 500)
  expect(written.flatMap((spy) => spy.mock.calls)).toEqual([])

  // Everything that was collected in the whole run, as it was sent, warnings included.
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

  /** A verifier whose spans, metrics and log can be searched. */
  function observe(row: Row, kit: Kit) {
    const spans = new InMemorySpanExporter()
    const lines: string[] = []
    const log = pino({ base: null, timestamp: false }, { write: (line) => void lines.push(line) })
    const telemetry: VerifierOptions = {
      tracerProvider: new NodeTracerProvider({
        spanProcessors: [new SimpleSpanProcessor(spans), sdk.spanProcessor],
      }),
      meterProvider: sdk.meterProvider,
      traceAllowed: 1,
      onDecision(decision, facts) {
        const { code, stage } = decision as { code?: string; stage?: string }
        // The cause quotes claims, for the operator: that it holds no token or proof is tested with the
        // causes.
        log.info({ outcome: decision.outcome, code, stage, ...facts, cause: undefined })
      },
    }
    const options = (own: Kit) => ({ ...row.options?.(own), ...telemetry })
    const { verifier, policy } = setupOf({ ...row, options }, kit)
    for (const key of Object.keys(policy.routes)) patterns.add(key.slice(key.indexOf(' ') + 1))
    for (const issuer of verifier.metadata().authorization_servers ?? []) issuers.add(issuer)
    return { verifier, policy, spans, lines, close: () => verifier.close() }
  }

  function play(row: Row): Promise<void> {
    return observed.use(row, async ({ kit, verifier, policy, spans, lines }) => {
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
        expect(lines.length, row.id).toBe(1)

        const verified = verifiedTexts(row.id, request, step.on?.core ?? step.expect)
        const exported = spans.getFinishedSpans().map(({ name, attributes, events, status }) => {
          return { name, attributes, events, status }
        })
        const secrets = secretsOf(request)
        for (const secret of secrets) if (secret.length >= 20) everySecret.add(secret)
        search(row, 'exported', JSON.stringify(exported), secrets, [policy, verified])
        search(row, 'logged', lines.join(), secrets, [policy, verified])
        // A handler gets the grant. A refused caller gets nothing.
        if (decision.outcome !== 'allow') {
          const answer = JSON.stringify(decision).replaceAll(kit.nonce ?? '\0', '')
          search(row, 'answered', answer.replace(/resource_metadata=\S+/g, ''), secrets, [policy])
        }
      }
    })
  }

  function search(row: Row, where: string, text: string, secrets: string[], allowed: unknown[]): void {
    searched++
    const found = secrets.filter((secret) => text.includes(secret))
    if (found.length === 0) return
    // A proof names its method, and so does a span: by a word of HTTP's own.
    const known = JSON.stringify([denials, 'OPTIONS', ...allowed])
    const leaked = found.filter((secret) => !known.includes(secret))
    if (leaked.length > 0) leaks.push({ row: row.id, where, leaked })
  }
}, 300_000)

/** Codes of tokens whose signature is good: the agent is told, and nothing else. */
const signed: ReadonlySet<string> = new Set([
  'claims_invalid',
  'audience_mismatch',
  'token_expired',
  'token_not_yet_valid',
  'token_lifetime_exceeded',
])

/**
 * Rows whose tokens verify, and are refused for their claims or their field by a code that others get before.
 */
const refusedLater = /^C30[128]\//

/** The two claims that telemetry may tell, where the table says that the token's signature was good. */
function verifiedTexts(id: string, request: WireRequest, expected: Expectation): string[] {
  const isSigned = 'code' in expected && (signed.has(expected.code) || refusedLater.test(id))
  if ('stage' in expected && (expected.stage === 'request' || (expected.stage === 'token' && !isSigned)))
    return []
  if (expected.outcome === 'public' || expected.outcome === 'anonymous') return []
  const credentials = request.headers.find(([name]) => name.toLowerCase() === 'authorization')?.[1] ?? ''
  const payload = credentials.split('.')[1] ?? ''
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString() || '{}')
  return [claims.sub ?? claims.client_id, isSigned ? undefined : claims.intent?.workflow_id]
    .filter((text) => typeof text === 'string')
    .map(printable)
}
