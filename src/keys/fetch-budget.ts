import type { Stopwatch } from './stopwatch.js'

/** Limits the fetches that tokens cause: anyone can send a token that no known key verifies. */
export interface FetchBudget {
  /** Uses one fetch. False if none is left. */
  take(): boolean
  /** Milliseconds until a fetch is left. 0 if there is one. */
  untilNext(): number
}

/** At most `size` fetches in any `window` milliseconds. */
export function createFetchBudget(
  size: number,
  window: number,
  startStopwatch: () => Stopwatch,
): FetchBudget {
  let spent: Stopwatch[] = []

  function untilNext(): number {
    spent = spent.filter((elapsed) => elapsed() < window)
    const [oldest] = spent
    return oldest === undefined || spent.length < size ? 0 : Math.max(0, window - oldest())
  }

  return {
    untilNext,
    take() {
      if (untilNext() > 0) return false
      spent.push(startStopwatch())
      return true
    },
  }
}
