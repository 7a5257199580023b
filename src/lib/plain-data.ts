/** The deepest nesting of a policy. `parsePolicy` refuses more. */
export const maxDepth = 40

/**
 * Copies plain data, deeply frozen and without prototypes: later changes of the policy object or of `Object.prototype`
 * change no decision. Functions are kept, so that the schema can refuse them.
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
