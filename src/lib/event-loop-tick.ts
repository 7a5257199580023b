import { sharedByCopies } from './copies.js'

/** Taken when this is loaded: a clock that a test puts in its place, and takes away, would never end a turn. */
const { setImmediate } = globalThis

/** One count for the process, which has one event loop: of all verifiers. */
const turn = sharedByCopies('turn', () => ({ requests: 0 }))

/** Tells that a request has come. Where a runtime has no turns to count by, nothing is counted. */
export function countRequestInTick(): void {
  if (typeof setImmediate !== 'function') return
  if (turn.requests++ === 0) setImmediate(endTurn)
}

/**
 * Whether several requests have come in the turn of the event loop that is under way: what it reads from its sockets
 * before it does anything else. More are waiting, then, than it gets done at once.
 */
export function isTickCrowded(): boolean {
  return turn.requests > 1
}

function endTurn(): void {
  turn.requests = 0
}
