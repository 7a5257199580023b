/** The deepest nesting of a policy. `parsePolicy` refuses more. */
export const maxDepth = 40

/**
 * A deeply frozen copy of plain data, without prototypes. Later changes to the policy object or to
 * `Object.prototype` then change no decision. Functions are kept, so that the schema can refuse them.
 */
export function snapshot<T>(value: T): T {
  return copyOf(value, 0)
}

function copyOf<T>(value: T, depth: number): T
function copyOf(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null || depth > maxDepth) return value
  if (Array.isArray(value)) return Object.freeze(Array.from(value, (item) => copyOf(item, depth + 1)))
  const copy = Object.create(null)
  for (const [name, member] of Object.entries(value)) copy[name] = copyOf(member, depth + 1)
  return Object.freeze(copy)
}

/**
 * Whether an object is an array or no instance of a class. Accepts objects of other realms, such as those of
 * test runners and workers, which have another `Object`.
 */
export function isPlainData(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  if (Array.isArray(value) || prototype === null) return true
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'hasOwnProperty')
}
