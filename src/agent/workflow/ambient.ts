import type { AsyncLocalStorage } from 'node:async_hooks'
import { sharedByCopies } from '../../lib/copies.js'
import type { CallContext } from './intent.js'

/** A step under way. */
export interface Frame {
  /** The client and the run that it belongs to: agents that share a process do not see each other's steps. */
  readonly client: object
  readonly run: object
  readonly context: CallContext
  readonly outer: Frame | undefined
  ended: boolean
}

/**
 * The one part of the client that needs more than Web Crypto and Fetch. Asked for at run time rather than
 * imported, so that the rest loads where there is no such thing: there the argument of a step's function
 * carries the step, and the surroundings do not.
 */
const hooks: typeof import('node:async_hooks') | undefined =
  globalThis.process?.getBuiltinModule?.('node:async_hooks')

/** One for all clients: each further AsyncLocalStorage would slow every promise of the process on Node 20. */
const storage: AsyncLocalStorage<Frame> | undefined =
  hooks && sharedByCopies('frames', () => new hooks.AsyncLocalStorage<Frame>())

/** Runs work inside a frame, across all that it awaits. */
export function within<T>(frame: Frame, work: () => T): T {
  return storage ? storage.run(frame, work) : work()
}

export function currentFrame(): Frame | undefined {
  return storage?.getStore()
}

/** The innermost frame around the caller that fits. */
export function findFrame(fits: (frame: Frame) => boolean): Frame | undefined {
  let frame = currentFrame()
  while (frame && !fits(frame)) frame = frame.outer
  return frame
}
