import {
  type Counter,
  createNoopMeter,
  type Histogram,
  type MeterProvider,
  metrics,
} from '@opentelemetry/api'
import { watchReplayStore } from './replay-metrics.js'

/** Histogram buckets in seconds, from a cached token to a key fetch that times out. */
const durationBuckets = [
  0.00005, 0.0001, 0.00015, 0.0002, 0.0003, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5,
]

export interface Instruments {
  readonly decisions: Counter
  readonly duration: Histogram
  readonly refreshes: Counter
}

/** The instruments of the current meter provider. */
export interface InstrumentSource {
  /** Undefined while no SDK is registered. */
  current(): Instruments | undefined
  close(): void
}

/**
 * Creates instruments when an SDK is registered, which can be after the verifier is made. The provider is read from a
 * global on each call.
 */
export function createInstrumentSource(
  given: MeterProvider | undefined,
  replayStore: object,
): InstrumentSource {
  const noopMeter = createNoopMeter()
  let provider: MeterProvider | undefined
  let instruments: Instruments | undefined
  let unwatch: (() => void) | undefined
  let isClosed = false

  function stopWatching(): void {
    unwatch?.()
    unwatch = undefined
  }

  return {
    current() {
      const latest = given ?? metrics.getMeterProvider()
      if (latest === provider) return instruments
      // Set first: a provider that throws is asked once and not for each request.
      provider = latest
      instruments = undefined
      stopWatching()
      const meter = latest.getMeter('ajwt')
      if (meter === noopMeter) return undefined
      instruments = {
        decisions: meter.createCounter('ajwt.decisions', {
          description: 'Verdicts on requests',
          unit: '{request}',
        }),
        duration: meter.createHistogram('ajwt.verify.duration', {
          description: 'Time from a request to its verdict',
          unit: 's',
          advice: { explicitBucketBoundaries: durationBuckets },
        }),
        refreshes: meter.createCounter('ajwt.jwks.refreshes', {
          description: 'Fetches of keys',
          unit: '{fetch}',
        }),
      }
      if (!isClosed) unwatch = watchReplayStore(latest, meter, replayStore)
      return instruments
    },
    close() {
      isClosed = true
      stopWatching()
    },
  }
}
