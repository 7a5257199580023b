import type { Meter, MeterProvider } from '@opentelemetry/api'
import { sharedInProcess } from '../lib/copies.js'

/** The replay stores that are reported to one meter provider. */
interface ReportedStores {
  /** The number of verifiers that use each store. */
  readonly users: Map<object, number>
  /** The sum of `refused` over the stores that are no longer in use. */
  refusedBefore: number
}

/**
 * One set of instruments for all stores of a process, so that two stores do not overwrite each other's
 * values.
 */
const storesByProvider = sharedInProcess(
  'reported stores',
  () => new WeakMap<MeterProvider, ReportedStores>(),
)

/** Reports `size` and `refused` of a store that has them, until the returned function is called. */
export function reportReplayStore(provider: MeterProvider, meter: Meter, store: object): () => void {
  const reported = storesByProvider.get(provider) ?? createInstruments(provider, meter)
  reported.users.set(store, (reported.users.get(store) ?? 0) + 1)
  return () => {
    const others = (reported.users.get(store) ?? 0) - 1
    if (others > 0) {
      reported.users.set(store, others)
      return
    }
    // Keeps the refusals of a released store, because a counter must never decrease.
    reported.refusedBefore += sum([store], 'refused') ?? 0
    reported.users.delete(store)
  }
}

function createInstruments(provider: MeterProvider, meter: Meter): ReportedStores {
  const reported: ReportedStores = { users: new Map(), refusedBefore: 0 }
  storesByProvider.set(provider, reported)
  meter
    .createObservableGauge('ajwt.replay_store.size', {
      description: 'Entries of the replay store: proofs and single-use tokens',
      unit: '{entry}',
    })
    .addCallback((result) => {
      const size = sum(reported.users.keys(), 'size')
      if (size !== undefined) result.observe(size)
    })
  meter
    .createObservableCounter('ajwt.replay_store.refusals', {
      description: 'Proofs refused because the store could not prove that they are new',
      unit: '{proof}',
    })
    .addCallback((result) => {
      const refused = sum(reported.users.keys(), 'refused')
      if (refused !== undefined) result.observe(refused + reported.refusedBefore)
    })
  return reported
}

/** Undefined if no store has the number. A custom store may have any value under this name. */
function sum(stores: Iterable<object>, name: 'size' | 'refused'): number | undefined {
  let total: number | undefined
  for (const store of stores) {
    try {
      const value: unknown = Reflect.get(store, name)
      if (typeof value === 'number' && value >= 0) total = (total ?? 0) + value
    } catch {
      // A getter of a custom store may throw. The other stores are still reported.
    }
  }
  return total
}
