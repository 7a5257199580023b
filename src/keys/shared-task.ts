import { hasIsolatedRequests } from '#runtime'
import type { Stopwatch } from './stopwatch.js'

/** Work that all requests share: one run at a time. */
export interface SharedTask<T> {
  /** Whether a run goes on after the response of the request that started it. */
  readonly outlivesRequests: boolean
  isRunning(): boolean
  /** Waits for the run under way, or starts one. */
  run(): Promise<T>
}

/** Milliseconds between two looks at the run of another request. */
const lookInterval = 10

/** The share of `timeout` after which a request no longer waits for the run of another request. */
const patience = 0.25

/**
 * Shares the runs of `work`, which never rejects and takes at most `timeout` milliseconds. In Workers the
 * promises of a request die with it, and no other request may await them: see `createIsolatedTask`.
 */
export function createSharedTask<T>(
  work: () => Promise<T>,
  timeout: number,
  startStopwatch: () => Stopwatch,
  isIsolated: boolean = hasIsolatedRequests,
): SharedTask<T> {
  if (isIsolated) return createIsolatedTask(work, timeout, startStopwatch)
  let running: Promise<T> | undefined
  return {
    outlivesRequests: true,
    isRunning: () => running !== undefined,
    run() {
      running ??= work().finally(() => {
        running = undefined
      })
      return running
    },
  }
}

interface Run<T> {
  readonly elapsed: Stopwatch
  result: { readonly value: T } | undefined
}

/**
 * A request awaits its own promises only. It looks at the run of another request by timers of its own, and
 * starts a run itself where the other one takes long: that request may have been cancelled.
 */
function createIsolatedTask<T>(
  work: () => Promise<T>,
  timeout: number,
  startStopwatch: () => Stopwatch,
): SharedTask<T> {
  let latest: Run<T> | undefined

  /** A run that was cancelled never ends: it counts for as long as it could take. */
  function isRunning(): boolean {
    return latest !== undefined && latest.result === undefined && latest.elapsed() <= timeout
  }

  async function resultOf(run: Run<T>): Promise<Run<T>['result']> {
    for (const waited = startStopwatch(); run.result === undefined && waited() < timeout * patience; ) {
      await new Promise((resolve) => setTimeout(resolve, lookInterval))
    }
    return run.result
  }

  async function start(): Promise<T> {
    const run: Run<T> = { elapsed: startStopwatch(), result: undefined }
    latest = run
    const value = await work()
    run.result = { value }
    return value
  }

  return {
    outlivesRequests: false,
    isRunning,
    async run() {
      const other = isRunning() ? latest : undefined
      const result = other && (await resultOf(other))
      if (result !== undefined) return result.value
      // Several may have waited for the same run: one of them starts the next.
      return latest !== other && isRunning() ? this.run() : start()
    },
  }
}
