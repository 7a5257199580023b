/** The version of this package. A test compares it with package.json. */
export const version = '0.1.0'

/** Contains the version, so that two versions do not share state. */
const key = Symbol.for(`ajwt@${version}`)

/**
 * One value for all copies of the package in a process: `import` and `require()` each load one. If
 * `globalThis` is not extensible, each copy has its own value.
 */
export function sharedInProcess<T>(name: string, make: () => T): T {
  const found: unknown = Object.getOwnPropertyDescriptor(globalThis, key)?.value
  const values: Map<string, unknown> = found instanceof Map ? found : new Map()
  if (values !== found) Reflect.defineProperty(globalThis, key, { value: values })
  if (!values.has(name)) values.set(name, make())
  return values.get(name) as T
}

/** Makes `instanceof` accept errors that another copy of the package made from its class of the same name. */
export function brandError(errorClass: { readonly prototype: Error }, name: string): void {
  const brand = Symbol.for(`ajwt/${name}`)
  Object.defineProperty(errorClass.prototype, brand, { value: true })
  Object.defineProperty(errorClass, Symbol.hasInstance, {
    value(this: unknown, value: unknown): boolean {
      // A subclass inherits this method, but must not accept every error of its parent class.
      if (this !== errorClass) return Reflect.apply(Function.prototype[Symbol.hasInstance], this, [value])
      return typeof value === 'object' && value !== null && brand in value
    },
  })
}
