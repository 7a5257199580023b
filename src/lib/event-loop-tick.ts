import { sharedByCopies } from './copies.js'

/** Taken at load: with the fake timers of a test a tick would never end. */
const { setImmediate } = globalThis

/** Requests in the current tick, of all verifiers of the process. */
const turn = sharedByCopies('turn', () => ({ requests: 0 }))

/** Counts a request. Does nothing in runtimes without `setImmediate`. */
export function countRequestInTick(): void {
  if (typeof setImmediate !== 'function') return
  if (turn.requests++ === 0) setImmediate(endTurn)
}

/** Whether several requests arrived in the current tick: signatures then go to the thread pool. */
export function isTickCrowded(): boolean {
  return turn.requests > 1
}

function endTurn(): void {
  turn.requests = 0
}
