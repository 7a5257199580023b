/**
 * An object's own member, or undefined. What a prototype holds, be it by a polluted `Object.prototype`, is
 * never taken for something that a token, a key or a header said.
 */
export function own(object: object, name: string): unknown {
  const value = (object as Record<string, unknown>)[name]
  return value === undefined || Object.hasOwn(object, name) ? value : undefined
}

/** With no member of its own: what is `in` it, every parsed object inherits. */
export const bare: object = Object.freeze({})

/**
 * A parsed object to read members of by names that stand in the code, which is as fast as it gets: itself, unless such
 * objects inherit one of those names. Whoever calls it asks for each, as in `'iss' in bare`: of names that stand in the code,
 * too, the runtime knows the answer until somebody changes `Object.prototype`.
 */
export function withOwn(parsed: Record<string, unknown>, inheritsSome: boolean): ReadOnly {
  return inheritsSome ? Object.assign(Object.create(null), parsed) : parsed
}

type ReadOnly = { readonly [name: string]: unknown }

/**
 * Takes the prototype off every object in parsed JSON, so that members can be read by name: what a polluted
 * `Object.prototype` holds is then never taken for something that a document says.
 */
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
