/** A private member of objects that others make and freeze. No code without the slot can read or set it. */
export interface PrivateSlot<T> {
  /** Adds the slot to an object, which must not be frozen yet. */
  addTo<O extends object>(object: O): O
  /** Does nothing for an object without the slot. */
  set(object: object, value: T): void
  get(object: object): T | undefined
}

/** Returns the object, so that the private members of a subclass are added to it. */
class Itself {
  constructor(object: object) {
    // biome-ignore lint/correctness/noConstructorReturn: only so can a class add members to another's object
    return object
  }
}

/** For objects of every request: a WeakMap takes 1.2 to 2 us more, because the garbage collector walks it. */
export function createPrivateSlot<T>(): PrivateSlot<T> {
  class Slot extends Itself {
    #value: T | undefined

    static get(object: object): T | undefined {
      return #value in object ? object.#value : undefined
    }

    static set(object: object, value: T): void {
      if (#value in object) object.#value = value
    }
  }
  return {
    addTo(object) {
      // The same object. Rollup drops a `new` whose result is not used, and with it the slot.
      return Object(new Slot(object))
    },
    set: Slot.set,
    get: Slot.get,
  }
}
