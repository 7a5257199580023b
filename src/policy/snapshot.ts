/**
 * A copy of plain data that nobody else holds and that inherits nothing: what the application does to its
 * policy object later, or to `Object.prototype`, changes no decision. What is not plain data is kept as it
 * is, for the schema to refuse.
 */
export function snapshot(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null || depth > 40) return value
  if (Array.isArray(value)) return Object.freeze(Array.from(value, (item) => snapshot(item, depth + 1)))
  const prototype = Object.getPrototypeOf(value)
  // Plain in whatever realm it was made: a test runner's or a worker's Object is not this module's.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) return value
  const copy = Object.create(null)
  for (const name of Object.keys(value)) {
    copy[name] = snapshot((value as Record<string, unknown>)[name], depth + 1)
  }
  return Object.freeze(copy)
}
