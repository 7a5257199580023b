import { sharedInProcess } from './copies.js'

/** Read when the module loads, because the fake timers of a test would never end a tick. */
const { setImmediate } = globalThis

/** The number of requests in the current event-loop tick, for all verifiers of the process. */
const tick = sharedInProcess('event-loop tick', () => ({ requests: 0 }))

/** Counts a request. Does nothing in runtimes without `setImmediate`. */
export function countRequestInTick(): void {
  if (typeof setImmediate !== 'function') return
  if (tick.requests++ === 0) setImmediate(endTick)
}

/** Whether several requests arrived in the current tick. Their signatures are verified in the thread pool. */
export function isTickCrowded(): boolean {
  return tick.requests > 1
}

function endTick(): void {
  tick.requests = 0
}
