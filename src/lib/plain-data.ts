/** Objects and arrays within each other in a policy: `parsePolicy` refuses what nests deeper. */
export const maxDepth = 40

/**
 * A copy of the data in a value that nobody else holds and that inherits nothing: what the application does to
 * its policy object later, or to `Object.prototype`, changes no decision. Of an instance of a class its own
 * members are taken, as JSON would; functions are kept, for the schema to refuse.
 */
export function snapshot(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null || depth > maxDepth) return value
  if (Array.isArray(value)) return Object.freeze(Array.from(value, (item) => snapshot(item, depth + 1)))
  const copy = Object.create(null)
  for (const name of Object.keys(value)) {
    copy[name] = snapshot((value as Record<string, unknown>)[name], depth + 1)
  }
  return Object.freeze(copy)
}
