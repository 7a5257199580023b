/** An object's own member. A member of a polluted `Object.prototype` is never read. */
export function own(object: object, name: string): unknown {
  const value = (object as Record<string, unknown>)[name]
  return value === undefined || Object.hasOwn(object, name) ? value : undefined
}

/** Removes the prototype of every object in parsed JSON, so that a polluted `Object.prototype` adds no members. */
export function withoutPrototypes(parsed: unknown): unknown {
  if (typeof parsed !== 'object' || parsed === null) return parsed
  if (!Array.isArray(parsed)) Object.setPrototypeOf(parsed, null)
  for (const member of Object.values(parsed)) withoutPrototypes(member)
  return parsed
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What `Object.prototype` has in every runtime. */
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
 * Whether objects inherit a member that a document could have. Objects without a prototype cost some 9 us for a new
 * token, so that they are made only then.
 */
export function isPrototypePolluted(): boolean {
  for (const name of Reflect.ownKeys(Object.prototype)) if (!builtInMembers.has(name)) return true
  return false
}
