/** Milliseconds since it was started. */
export type Stopwatch = () => number

/** Measures by the given clock and the monotonic one. The greater time counts, so a clock may be set back. */
export function createStopwatches(now: () => number): () => Stopwatch {
  return () => {
    const startedAt = read(now)
    const startedMonotonic = performance.now()
    return () => Math.max(read(now) - startedAt || 0, performance.now() - startedMonotonic)
  }
}

/** If the given clock fails, the monotonic one counts. */
function read(now: () => number): number {
  try {
    return Number(now())
  } catch {
    return Number.NaN
  }
}
