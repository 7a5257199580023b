/** A member that the object itself has. Ignores the members of a polluted `Object.prototype`. */
export function ownMember<K extends string>(object: { readonly [P in K]?: unknown }, name: K): unknown {
  const value = object[name]
  return value === undefined || Object.hasOwn(object, name) ? value : undefined
}

/** Removes all prototypes from parsed JSON, so that a polluted `Object.prototype` adds no members. */
export function withoutPrototypes(parsed: unknown): unknown {
  if (typeof parsed !== 'object' || parsed === null) return parsed
  if (!Array.isArray(parsed)) Object.setPrototypeOf(parsed, null)
  for (const member of Object.values(parsed)) withoutPrototypes(member)
  return parsed
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The members of `Object.prototype` in every runtime. */
const builtInMembers: ReadonlySet<PropertyKey> = new Set([
  'constructor',
  '__defineGetter__',
  '__defineSetter__',
  'hasOwnProperty',
  '__lookupGetter__',
  '__lookupSetter__',
  'isPrototypeOf',
  'propertyIsEnumerable',
  'toString',
  'valueOf',
  '__proto__',
  'toLocaleString',
])

/**
 * Whether objects inherit a member that a JSON document could have. Only then prototypes are removed, because
 * that costs about 9 us for a new token.
 */
export function isPrototypePolluted(): boolean {
  for (const name of Reflect.ownKeys(Object.prototype)) if (!builtInMembers.has(name)) return true
  return false
}
