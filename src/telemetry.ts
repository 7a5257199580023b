import {
  type Attributes,
  type Counter,
  createNoopMeter,
  type Histogram,
  type Meter,
  metrics,
  trace,
} from '@opentelemetry/api'
import type { Findings } from './decide.js'
import type { Decision } from './decision.js'
import type { VerifierOptions } from './options.js'

const name = 'ajwt'

/** Nothing that a verified token or the policy did not put there gets longer than this. */
const maxAttributeLength = 128

const methods = new Set([
  'CONNECT',
  'DELETE',
  'GET',
  'HEAD',
  'OPTIONS',
  'PATCH',
  'POST',
  'PUT',
  'QUERY',
  'TRACE',
])

/** From a warm verification to a fetch of keys that times out. */
const durationBuckets = [
  0.00005, 0.0001, 0.00015, 0.0002, 0.0003, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5,
]

/** What is known of a request when its verdict falls: closed sets, the policy's words, verified claims. */
export interface DecisionFacts {
  /** An HTTP method, or `_OTHER`. */
  readonly method: string
  /** The path pattern of the policy, where one matched. */
  readonly route: string | undefined
  /** `sub` of the token, once its signature has verified. */
  readonly agent: string | undefined
  readonly workflow: string | undefined
  /** Hops from the initiator to the agent, once the delegation was verified. */
  readonly delegationDepth: number | undefined
  /** Seconds. */
  readonly duration: number
}

/** A method as an attribute: never a caller's own word. */
function methodName(method: string): string {
  return methods.has(method) ? method : '_OTHER'
}

/** When a request began: for its span, and for its duration. */
export interface Watch {
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  /** Milliseconds on the monotonic clock. */
  readonly started: number
}

export interface Reporter {
  start(): Watch
  /** Tells everyone who listens. Whatever fails there, the verdict stands. */
  decided(decision: Decision, method: string, findings: Findings, watch: Watch): void
  refreshed(issuer: string, outcome: 'success' | 'failure'): void
}

interface Instruments {
  readonly decisions: Counter
  readonly duration: Histogram
  readonly refreshes: Counter
}

/**
 * Reports through the OpenTelemetry API, which does nothing until an SDK is registered: before the verifier is
 * made, or after.
 */
export function createReporter({ tracerProvider, meterProvider, onDecision }: VerifierOptions): Reporter {
  const noopMeter = createNoopMeter()
  let meter: Meter | undefined
  let instruments: Instruments | undefined

  function currentInstruments(): Instruments | undefined {
    const current = (meterProvider ?? metrics).getMeter(name)
    if (current === noopMeter) return undefined
    if (instruments === undefined || current !== meter) {
      meter = current
      instruments = createInstruments(current)
    }
    return instruments
  }

  function measure(decision: Decision, facts: DecisionFacts, startedAt: number): void {
    const labels: Attributes = { 'ajwt.outcome': decision.outcome }
    if ('code' in decision) labels['ajwt.code'] = decision.code
    if (facts.route !== undefined) labels['http.route'] = facts.route
    const current = currentInstruments()
    current?.decisions.add(1, labels)
    current?.duration.record(facts.duration, { 'ajwt.outcome': decision.outcome })
    if (!('code' in decision)) return
    const span = (tracerProvider ?? trace).getTracer(name).startSpan('ajwt.verify', {
      startTime: startedAt,
      attributes: {
        ...labels,
        'ajwt.stage': decision.stage,
        'http.request.method': facts.method,
        ...(facts.agent === undefined ? {} : { 'ajwt.agent.id': cut(facts.agent) }),
        ...(facts.workflow === undefined ? {} : { 'ajwt.workflow.id': cut(facts.workflow) }),
        ...(facts.delegationDepth === undefined ? {} : { 'ajwt.delegation.depth': facts.delegationDepth }),
      },
    })
    span.end()
  }

  return {
    start: () => ({ startedAt: Date.now(), started: performance.now() }),
    decided(decision, method, { access, verified, delegation }, { startedAt, started }) {
      const facts: DecisionFacts = {
        method: methodName(method),
        route: access?.route,
        agent: verified?.token.sub,
        workflow: verified?.token.intent.workflowId,
        delegationDepth: delegation?.depth,
        duration: (performance.now() - started) / 1000,
      }
      try {
        measure(decision, facts, startedAt)
      } catch {}
      try {
        Promise.resolve(onDecision?.(decision, facts)).catch(() => {})
      } catch {}
    },
    refreshed(issuer, outcome) {
      currentInstruments()?.refreshes.add(1, { 'ajwt.issuer': cut(issuer), 'ajwt.outcome': outcome })
    },
  }
}

function createInstruments(meter: Meter): Instruments {
  return {
    decisions: meter.createCounter('ajwt.decisions', { description: 'Requests decided', unit: '{request}' }),
    duration: meter.createHistogram('ajwt.verify.duration', {
      description: 'Time from a request to its decision',
      unit: 's',
      advice: { explicitBucketBoundaries: durationBuckets },
    }),
    refreshes: meter.createCounter('ajwt.jwks.refreshes', {
      description: 'Fetches of keys',
      unit: '{fetch}',
    }),
  }
}

function cut(value: string): string {
  return value.slice(0, maxAttributeLength)
}
