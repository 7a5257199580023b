import { isObject } from '../../lib/objects.js'
import type { Consumed } from '../replay.js'
import type { ReplayStore } from '../store.js'
import { memoryReplayStore } from './replay.js'

/** Shared by all verifiers of a process, also by those of other copies of the package. */
interface Shared {
  readonly store: ReplayStore
  /** The keys are the request objects of the framework. */
  readonly consumed: WeakMap<object, Consumed[]>
}

/** Contains a version. Increase it with each change of `Shared`, `Consumed` or the replay keys. */
const NAME = Symbol.for('ajwt.replay.1')

let shared: Shared | undefined

/** The store of every verifier without the options `replayStore` and `now`. */
export function sharedReplayStore(): ReplayStore {
  return share().store
}

/** The proofs and tokens that all verifiers have consumed for this request. */
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
  shared ??= findShared() ?? publish({ store: memoryReplayStore(), consumed: new WeakMap() })
  return shared
}

/** The value of another copy of the package, if there is one. */
function findShared(): Shared | undefined {
  const found: unknown = Object.getOwnPropertyDescriptor(globalThis, NAME)?.value
  return isShared(found) ? { store: found.store, consumed: found.consumed } : undefined
}

function isShared(found: unknown): found is Shared {
  return (
    isObject(found) &&
    isObject(found.store) &&
    typeof found.store.remember === 'function' &&
    found.consumed instanceof WeakMap
  )
}

/** Not writable, so that nothing can replace it. If the name is taken, each copy has its own store. */
function publish(value: Shared): Shared {
  if (!Object.hasOwn(globalThis, NAME)) {
    Reflect.defineProperty(globalThis, NAME, { value: Object.freeze(value) })
  }
  return value
}
