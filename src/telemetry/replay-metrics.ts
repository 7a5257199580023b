import type { Meter, MeterProvider } from '@opentelemetry/api'
import { sharedByCopies } from '../lib/copies.js'

/** The number of verifiers that use a store. */
type Users = Map<object, number>

/** The stores reported to one provider, and the refusals of stores that are gone. */
interface Watched {
  readonly users: Users
  refusedBefore: number
}

/**
 * Sums over all stores of a process, so that two stores do not overwrite each other's numbers. A store that no verifier
 * uses is released.
 */
const watchedBy = sharedByCopies('watched stores', () => new WeakMap<MeterProvider, Watched>())

/** Reports `size` and `refused` of a store that has them, until the function it returns is called. */
export function watchReplayStore(provider: MeterProvider, meter: Meter, store: object): () => void {
  const watched = watchedBy.get(provider) ?? observe(provider, meter)
  watched.users.set(store, (watched.users.get(store) ?? 0) + 1)
  return () => {
    const others = (watched.users.get(store) ?? 0) - 1
    if (others > 0) {
      watched.users.set(store, others)
      return
    }
    // A counter never goes back.
    watched.refusedBefore += sum([store], 'refused') ?? 0
    watched.users.delete(store)
  }
}

function observe(provider: MeterProvider, meter: Meter): Watched {
  const watched: Watched = { users: new Map(), refusedBefore: 0 }
  watchedBy.set(provider, watched)
  meter
    .createObservableGauge('ajwt.replay_store.size', {
      description: 'Proofs and tokens remembered',
      unit: '{entry}',
    })
    .addCallback((result) => {
      const size = sum(watched.users.keys(), 'size')
      if (size !== undefined) result.observe(size)
    })
  meter
    .createObservableCounter('ajwt.replay_store.refusals', {
      description: 'Proofs refused because the store could not tell that they are new',
      unit: '{proof}',
    })
    .addCallback((result) => {
      const refused = sum(watched.users.keys(), 'refused')
      if (refused !== undefined) result.observe(refused + watched.refusedBefore)
    })
  return watched
}

/** Undefined where no store has the number. A custom store may have anything under this name. */
function sum(stores: Iterable<object>, name: 'size' | 'refused'): number | undefined {
  let total: number | undefined
  for (const store of stores) {
    try {
      const value = (store as Record<string, unknown>)[name]
      if (typeof value === 'number' && value >= 0) total = (total ?? 0) + value
    } catch {
      // A store that throws must not hide the others.
    }
  }
  return total
}
