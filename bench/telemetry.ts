/**
 * `npx tsx bench/telemetry.ts [rounds]`: the cost of telemetry for one request. Every variant must allow a
 * valid request and deny an invalid one. Then the variants take turns, so that other load on the machine
 * affects all of them.
 */
import { cpus } from 'node:os'
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import { AUDIENCE, createKit, ISSUER, issuerJwks, type WireRequest } from '../fixtures/kit.js'
import { createVerifier, type Policy, type VerifierOptions } from '../src/index.js'
import { emptyState } from '../src/pipeline.js'
import { createReporter } from '../src/telemetry/reporter.js'

const rounds = Number(process.argv[2] ?? 40)
const perRound = 50

const policy: Policy = {
  issuer: { url: ISSUER, jwks: issuerJwks() },
  audience: AUDIENCE,
  routes: { 'GET /orders/:id': { scope: 'orders:read' } },
}
const kit = createKit()

/** Collects only on request, which never happens here. */
class QuietReader extends MetricReader {
  override async onForceFlush(): Promise<void> {}
  override async onShutdown(): Promise<void> {}
}

const sdk = () => ({
  tracerProvider: new NodeTracerProvider(),
  meterProvider: new MeterProvider({ readers: [new QuietReader()] }),
})

const options: Readonly<Record<string, VerifierOptions>> = {
  'no SDK': {},
  'no SDK, onDecision': { onDecision: () => {} },
  SDK: sdk(),
  'SDK, every allowed request traced': { ...sdk(), traceAllowed: 1 },
}

const toRequest = ({ method, url, headers }: WireRequest) => ({
  method,
  url,
  headers: Object.fromEntries(headers),
})

const variants = Object.entries(options).map(([name, own]) => ({
  name,
  verifier: createVerifier(policy, { now: () => kit.now, ...own }),
  allowed: [] as number[],
  denied: [] as number[],
}))

for (const { name, verifier } of variants) {
  const good = await verifier.verify(toRequest(kit.call()))
  const bad = await verifier.verify({ method: 'GET', url: '/orders/42', headers: {} })
  if (good.outcome !== 'allow' || bad.outcome !== 'deny')
    throw new Error(`${name} allows an invalid request or denies a valid one`)
}

async function time(
  requests: ReturnType<typeof toRequest>[],
  verifier: (typeof variants)[number]['verifier'],
) {
  const started = performance.now()
  for (const request of requests) await verifier.verify(request)
  return ((performance.now() - started) * 1e3) / requests.length
}

for (let round = -5; round < rounds; round++) {
  for (let turn = 0; turn < variants.length; turn++) {
    // Each variant is in each position equally often.
    const variant = variants[
      (turn + round + variants.length * 5) % variants.length
    ] as (typeof variants)[number]
    const good = Array.from({ length: perRound }, () => toRequest(kit.call()))
    const bad = good.map(() => ({ method: 'GET', url: '/orders/42', headers: {} }))
    const allowed = await time(good, variant.verifier)
    const denied = await time(bad, variant.verifier)
    // The first rounds warm up.
    if (round < 0) continue
    variant.allowed.push(allowed)
    variant.denied.push(denied)
  }
}

/** The reporter alone, without an SDK: all that telemetry then adds to an allowed request. */
function timeReporter(): number {
  const reporter = createReporter({}, {})
  const decision = { outcome: 'public' } as const
  const calls = 100_000
  const started = performance.now()
  for (let call = 0; call < calls; call++)
    reporter.reportDecision(decision, 'GET', emptyState, reporter.start())
  return ((performance.now() - started) * 1e3) / calls
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] as number
const alone = Array.from({ length: 15 }, timeReporter)
const base = variants[0] as (typeof variants)[number]
console.log(
  `Node ${process.version}, ${cpus()[0]?.model} x${cpus().length}; median of ${rounds} rounds of ${perRound}`,
)
for (const { name, allowed, denied } of variants) {
  const ratio = (median(allowed) / median(base.allowed)).toFixed(2)
  console.log(
    `${name.padEnd(36)} allowed ${median(allowed).toFixed(1).padStart(7)} µs (x${ratio})   ` +
      `denied ${median(denied).toFixed(1).padStart(6)} µs`,
  )
}
const cost = median(alone.slice(5))
const share = ((cost / median(base.allowed)) * 100).toFixed(2)
console.log(
  `the reporter alone, no SDK: ${(cost * 1000).toFixed(0)} ns per request, ${share} % of an allowed one`,
)
