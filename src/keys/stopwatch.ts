/** Milliseconds since it was started. */
export type Stopwatch = () => number

/**
 * Starts stopwatches that no jump of the wall clock holds back: each gives the greater of what the given clock and the
 * machine's monotonic one have counted.
 */
export function createStopwatches(now: () => number): () => Stopwatch {
  return () => {
    const startedAt = read(now)
    const startedMonotonic = performance.now()
    return () => Math.max(read(now) - startedAt || 0, performance.now() - startedMonotonic)
  }
}

/** A clock that fails must not take the keys with it: the monotonic one goes on. */
function read(now: () => number): number {
  try {
    return Number(now())
  } catch {
    return Number.NaN
  }
}
