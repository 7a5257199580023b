import {
  type Counter,
  createNoopMeter,
  type Histogram,
  type MeterProvider,
  metrics,
} from '@opentelemetry/api'
import { reportReplayStore } from './replay-metrics.js'

/** Histogram buckets in seconds. The range is from a cached token to a key fetch that times out. */
const durationBuckets = [
  0.00005, 0.0001, 0.00015, 0.0002, 0.0003, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5,
]

export interface Instruments {
  readonly decisions: Counter
  readonly duration: Histogram
  readonly refreshes: Counter
  readonly policyUpdates: Counter
}

/** The instruments of the current meter provider. */
export interface InstrumentSource {
  /** Undefined while no SDK is registered. */
  current(): Instruments | undefined
  close(): void
}

/**
 * Creates the instruments once an SDK is registered, which may be after the verifier is made. Without
 * `configuredProvider`, `current()` reads the global provider on each call.
 */
export function createInstrumentSource(
  configuredProvider: MeterProvider | undefined,
  replayStore: object,
): InstrumentSource {
  const noopMeter = createNoopMeter()
  let provider: MeterProvider | undefined
  let instruments: Instruments | undefined
  let stopStoreMetrics: (() => void) | undefined
  let isClosed = false

  return {
    current() {
      const latest = configuredProvider ?? metrics.getMeterProvider()
      if (latest === provider) return instruments
      // Set before the calls below, so that a provider that throws is tried once, not for each request.
      provider = latest
      instruments = undefined
      stopStoreMetrics?.()
      stopStoreMetrics = undefined
      const meter = latest.getMeter('ajwt')
      if (meter === noopMeter) return undefined
      instruments = {
        decisions: meter.createCounter('ajwt.decisions', {
          description: 'Decisions on requests',
          unit: '{request}',
        }),
        duration: meter.createHistogram('ajwt.verify.duration', {
          description: 'Duration of the verification of a request',
          unit: 's',
          advice: { explicitBucketBoundaries: durationBuckets },
        }),
        refreshes: meter.createCounter('ajwt.jwks.refreshes', {
          description: 'Fetches of keys',
          unit: '{fetch}',
        }),
        policyUpdates: meter.createCounter('ajwt.policy.updates', {
          description: 'Updates of the policy, and new policies that were wrong',
          unit: '{update}',
        }),
      }
      if (!isClosed) stopStoreMetrics = reportReplayStore(latest, meter, replayStore)
      return instruments
    },
    close() {
      isClosed = true
      stopStoreMetrics?.()
      stopStoreMetrics = undefined
    },
  }
}
