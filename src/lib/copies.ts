/** Of this version alone: copies of two versions must not read each other's internals. A test holds it to package.json. */
const key = Symbol.for('ajwt@0.1.0')

/**
 * State that the whole process has once, though the package can be loaded twice in it: by `import` and by `require()`.
 * A global that cannot be extended leaves each copy with a state of its own.
 */
export function sharedByCopies<T>(name: string, make: () => T): T {
  const found: unknown = Object.getOwnPropertyDescriptor(globalThis, key)?.value
  const states = (found ?? new Map()) as Map<string, unknown>
  if (found === undefined) Reflect.defineProperty(globalThis, key, { value: states })
  if (!states.has(name)) states.set(name, make())
  return states.get(name) as T
}

/** Makes `instanceof` find an error of the class that the other copy has under this name. */
export function oneErrorForCopies(errorClass: { readonly prototype: Error }, name: string): void {
  const mark = Symbol.for(`ajwt/${name}`)
  Object.defineProperty(errorClass.prototype, mark, { value: true })
  Object.defineProperty(errorClass, Symbol.hasInstance, {
    value(this: unknown, value: unknown): boolean {
      // A subclass inherits this method, and is not every error of its parent's.
      if (this !== errorClass) return Function.prototype[Symbol.hasInstance].call(this as never, value)
      return typeof value === 'object' && value !== null && mark in value
    },
  })
}
