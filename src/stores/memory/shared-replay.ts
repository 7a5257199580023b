import type { Consumed } from '../replay.js'
import type { ReplayStore } from '../store.js'
import { memoryReplayStore } from './replay.js'

/** What all verifiers of a process share, whichever copy of the package they come from. */
interface Shared {
  readonly store: ReplayStore
  /** By the framework's request object. */
  readonly consumed: WeakMap<object, Consumed[]>
}

/** The number is that of the form of `Shared`, of the keys and of `Consumed`: another form takes another name. */
const NAME = Symbol.for('ajwt.replay.1')

let shared: Shared | undefined

/** The store of every verifier that is given neither `replayStore` nor `now`. */
export function sharedReplayStore(): ReplayStore {
  return share().store
}

/** What this request has used up so far, for all verifiers on its way. */
export function consumedBy(request: object): Consumed[] {
  const { consumed } = share()
  let uses = consumed.get(request)
  if (uses === undefined) {
    uses = []
    consumed.set(request, uses)
  }
  return uses
}

function share(): Shared {
  shared ??= take() ?? put({ store: memoryReplayStore(), consumed: new WeakMap() })
  return shared
}

/** What another copy has put there; undefined where nothing is, or something else. */
function take(): Shared | undefined {
  const found: unknown = Object.getOwnPropertyDescriptor(globalThis, NAME)?.value
  if (typeof found !== 'object' || found === null) return undefined
  const { store, consumed } = found as Partial<Shared>
  return typeof store?.remember === 'function' && consumed instanceof WeakMap
    ? { store, consumed }
    : undefined
}

/** Not writable, so that nothing takes its place later. Where the name is taken, each copy has its own. */
function put(own: Shared): Shared {
  if (!Object.hasOwn(globalThis, NAME)) {
    Reflect.defineProperty(globalThis, NAME, { value: Object.freeze(own) })
  }
  return own
}
