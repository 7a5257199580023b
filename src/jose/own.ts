/**
 * An object's own member, or undefined. What a prototype holds, be it by a polluted `Object.prototype`, is
 * never taken for something that a token, a key or a header said.
 */
export function own(object: object, name: string): unknown {
  const value = (object as Record<string, unknown>)[name]
  return value === undefined || Object.hasOwn(object, name) ? value : undefined
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
