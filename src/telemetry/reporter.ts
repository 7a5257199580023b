import {
  type Attributes,
  type Context,
  context,
  isSpanContextValid,
  type MeterProvider,
  ROOT_CONTEXT,
  type Span,
  SpanStatusCode,
  type TracerProvider,
  trace,
} from '@opentelemetry/api'
import type { Decision } from '../decision.js'
import { printable } from '../lib/sanitize.js'
import type { Cause, Refusal } from '../refusal.js'
import { createDenialLog, type DenialLogger } from './denial-log.js'
import type { DecisionFacts, ReportedState } from './facts.js'
import { createInstrumentSource, type Instruments } from './instruments.js'

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

/** The verifier's options for telemetry. */
export interface ReporterOptions {
  readonly log?: DenialLogger
  readonly onDecision?: (decision: Decision, facts: DecisionFacts) => void | Promise<void>
  readonly traceAllowed?: number
  readonly tracerProvider?: TracerProvider
  readonly meterProvider?: MeterProvider
}

/** The method as an attribute value from a closed set (OpenTelemetry `http.request.method`). */
function methodName(method: string): string {
  return methods.has(method) ? method : '_OTHER'
}

/** The start of a verification. */
export interface RequestStart {
  /** Milliseconds on the monotonic clock. */
  readonly time: number
  /** The active context. Read at the start, because the client of a store may lose it. */
  readonly context: Context
}

export interface Reporter {
  start(): RequestStart
  /** Reports a decision to metrics, traces and `onDecision`. Their failures do not change the decision. */
  reportDecision(
    decision: Decision,
    method: string,
    state: ReportedState,
    start: RequestStart,
    overrules?: Decision['outcome'],
  ): void
  reportRefresh(issuer: string, outcome: 'success' | 'failure'): void
  /** `failure`: a new policy was wrong, and the old one was kept. */
  reportPolicyUpdate(outcome: 'success' | 'failure'): void
  close(): void
}

/** Reports through the OpenTelemetry API, which does nothing until an SDK is registered. */
export function createReporter(options: ReporterOptions, replayStore: object): Reporter {
  const { tracerProvider, meterProvider, traceAllowed = 0, onDecision } = options
  const instruments = createInstrumentSource(meterProvider, replayStore)
  const logDenial = createDenialLog(options.log)
  const hasListener = onDecision !== undefined || logDenial !== undefined

  function currentInstruments(): Instruments | undefined {
    try {
      return instruments.current()
    } catch {
      return undefined
    }
  }

  function measure(
    current: Instruments,
    decision: Decision,
    { access }: ReportedState,
    duration: number,
    isFirst: boolean,
  ): void {
    const labels: Attributes = { 'ajwt.outcome': decision.outcome }
    if ('code' in decision) labels['ajwt.code'] = decision.code
    if (access?.route !== undefined) labels['http.route'] = printable(access.route)
    current.decisions.add(1, labels)
    // The time of `requireIntent` is not part of the verification time.
    if (isFirst) current.duration.record(duration, { 'ajwt.outcome': decision.outcome })
  }

  function recordSpan(
    decision: Decision,
    facts: DecisionFacts,
    start: RequestStart,
    authorization: NonNullable<ReportedState['trace']>['authorization'],
  ): Span {
    const end = Date.now()
    const startTime = end - facts.duration * 1000
    const tracer = (tracerProvider ?? trace).getTracer('ajwt')
    const span = tracer.startSpan(
      'ajwt.verify',
      { startTime, attributes: toAttributes(decision, facts) },
      start.context,
    )
    // A 503 is an error of the server. Other denials are not.
    if ('code' in decision && decision.status === 503)
      span.setStatus({ code: SpanStatusCode.ERROR, message: decision.code })
    if (authorization !== undefined) {
      const { code } = authorization
      const attributes = {
        'ajwt.outcome': code === undefined ? 'allow' : 'deny',
        ...(code && { 'ajwt.code': code }),
      }
      const toTime = (time: number) => startTime + time - start.time
      const times = { startTime: toTime(authorization.start), attributes }
      const child = tracer.startSpan('ajwt.authorize', times, trace.setSpan(start.context, span))
      child.end(toTime(authorization.end))
    }
    span.end(end)
    return span
  }

  /** Catches rejections: the caller does not await, and an unhandled rejection would end the process. */
  async function notify(decision: Decision, facts: DecisionFacts, active: Context): Promise<void> {
    try {
      await context.with(active, () => onDecision?.(decision, facts))
    } catch {}
  }

  return {
    start() {
      return { time: performance.now(), context: activeContext() }
    },
    reportDecision(decision, method, state, start, overrules) {
      const current = currentInstruments()
      const isTraced = 'code' in decision || (traceAllowed > 0 && Math.random() < traceAllowed)
      if (current === undefined && !isTraced && onDecision === undefined) return

      const duration = (performance.now() - start.time) / 1000
      if (current !== undefined)
        attempt(() => measure(current, decision, state, duration, overrules === undefined))
      const facts = toFacts(method, state, duration, overrules)
      const span = isTraced
        ? attempt(() => recordSpan(decision, facts, start, state.trace?.authorization))
        : undefined
      if (!hasListener) return
      const active = span === undefined ? start.context : trace.setSpan(start.context, span)
      const reported = Object.freeze({ ...facts, traceId: traceIdOf(active) })
      attempt(() => logDenial?.(decision, reported))
      void notify(decision, reported, active)
    },
    reportRefresh(issuer, outcome) {
      instruments.current()?.refreshes.add(1, { 'ajwt.issuer': printable(issuer), 'ajwt.outcome': outcome })
    },
    reportPolicyUpdate(outcome) {
      attempt(() => instruments.current()?.policyUpdates.add(1, { 'ajwt.outcome': outcome }))
    },
    close: instruments.close,
  }
}

/** Ignores errors of third-party exporters, so that they change no decision. */
function attempt<T>(report: () => T): T | undefined {
  try {
    return report()
  } catch {
    return undefined
  }
}

function toFacts(
  method: string,
  { access, verified, delegation, refusal, target }: ReportedState,
  duration: number,
  overrules: DecisionFacts['overrules'],
): DecisionFacts {
  return {
    method: methodName(method),
    route: optional(access?.route),
    agent: optional(verified?.token.agent ?? refusal?.agent),
    cause: causeOf(refusal, verified?.token.issuer),
    workflow: optional(verified?.token.intent.workflowId),
    delegationDepth: delegation?.depth,
    target: optional(target),
    duration,
    traceId: undefined,
    overrules,
  }
}

/** Adds the issuer whose entry was applied, because a policy may have several. */
function causeOf(refusal: Refusal | undefined, issuer: string | undefined): Cause | undefined {
  const cause = refusal?.cause
  if (cause === undefined || issuer === undefined || cause.issuer !== undefined) return cause
  return { ...cause, issuer: printable(issuer) }
}

function toAttributes(decision: Decision, facts: DecisionFacts): Attributes {
  return {
    'ajwt.outcome': decision.outcome,
    ...('code' in decision ? { 'ajwt.code': decision.code, 'ajwt.stage': decision.stage } : {}),
    'http.request.method': facts.method,
    ...(facts.route === undefined ? {} : { 'http.route': facts.route }),
    ...(facts.agent === undefined ? {} : { 'ajwt.agent.id': facts.agent }),
    ...(facts.workflow === undefined ? {} : { 'ajwt.workflow.id': facts.workflow }),
    ...(facts.delegationDepth === undefined ? {} : { 'ajwt.delegation.depth': facts.delegationDepth }),
  }
}

function optional(text: string | undefined): string | undefined {
  return text === undefined ? undefined : printable(text)
}

/** Catches errors of the context manager, which is third-party code. */
function activeContext(): Context {
  try {
    return context.active()
  } catch {
    return ROOT_CONTEXT
  }
}

function traceIdOf(active: Context): string | undefined {
  try {
    const spanContext = trace.getSpan(active)?.spanContext()
    return spanContext !== undefined && isSpanContextValid(spanContext) ? spanContext.traceId : undefined
  } catch {
    return undefined
  }
}
