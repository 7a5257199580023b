/**
 * An object's own member, or undefined. What a prototype holds, be it by a polluted `Object.prototype`, is
 * never taken for something that a token, a key or a header said.
 */
export function own(object: object, name: string): unknown {
  const value = (object as Record<string, unknown>)[name]
  return value === undefined || Object.hasOwn(object, name) ? value : undefined
}

/**
 * A parsed object with nothing to be read under these names that it has not got: itself, unless what such objects inherit
 * from has one of them. A member is then read by a name that stands in the code, which is as fast as it gets.
 */
export function withOwn<Name extends string>(
  parsed: Record<string, unknown>,
  names: readonly Name[],
): { readonly [name in Name]?: unknown } {
  const isPolluted = names.some((name) => name in Object.prototype)
  return isPolluted
    ? Object.assign(Object.create(null), parsed)
    : (parsed as { readonly [name in Name]?: unknown })
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
