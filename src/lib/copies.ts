/** Contains the version, so that two versions never share internals. A test compares it with package.json. */
const key = Symbol.for('ajwt@0.1.0')

/**
 * State shared by the copies of the package that `import` and `require()` load in one process. Where `globalThis`
 * cannot be extended, each copy has its own.
 */
export function sharedByCopies<T>(name: string, make: () => T): T {
  const found: unknown = Object.getOwnPropertyDescriptor(globalThis, key)?.value
  const states = (found ?? new Map()) as Map<string, unknown>
  if (found === undefined) Reflect.defineProperty(globalThis, key, { value: states })
  if (!states.has(name)) states.set(name, make())
  return states.get(name) as T
}

/** Makes `instanceof` accept errors of the other copy's class of the same name. */
export function oneErrorForCopies(errorClass: { readonly prototype: Error }, name: string): void {
  const mark = Symbol.for(`ajwt/${name}`)
  Object.defineProperty(errorClass.prototype, mark, { value: true })
  Object.defineProperty(errorClass, Symbol.hasInstance, {
    value(this: unknown, value: unknown): boolean {
      // A subclass inherits this method: it must not accept every error of its parent class.
      if (this !== errorClass) return Function.prototype[Symbol.hasInstance].call(this as never, value)
      return typeof value === 'object' && value !== null && mark in value
    },
  })
}
