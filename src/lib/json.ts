import { isPlainData } from './plain-data.js'

/** A JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | JsonMembers

/** The members of a JSON object. */
export interface JsonMembers {
  readonly [name: string]: Json
}

/**
 * Whether the value is JSON in which every reader finds the same members. False for a member `__proto__`,
 * which code that copies objects turns into inherited members, for an infinite number, and for instances of
 * classes.
 */
export function isUnambiguousJson(value: unknown): value is Json {
  // No recursion, because JSON in a request may nest deeper than the stack.
  const pending: unknown[] = [value]
  const seen = new Set<unknown>()
  while (pending.length > 0) {
    const item = pending.pop()
    if (isScalar(item) || seen.has(item)) continue
    if (!isContainer(item)) return false
    seen.add(item)
    for (const member of Object.values(item)) pending.push(member)
  }
  return true
}

function isScalar(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value)
  return value === null || value === undefined || typeof value === 'string' || typeof value === 'boolean'
}

function isContainer(value: unknown): value is object {
  return (
    typeof value === 'object' && value !== null && isPlainData(value) && !Object.hasOwn(value, '__proto__')
  )
}
