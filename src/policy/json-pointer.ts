import type { Json } from '../lib/json.js'
import { isObject } from '../lib/objects.js'

/** The reference tokens of a JSON pointer (RFC 6901 section 4). */
export function parsePointer(pointer: string): readonly string[] {
  return pointer
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** The value at the pointer, or undefined. Inherited members are not found. */
export function resolvePointer(document: Json, tokens: readonly string[]): Json | undefined {
  let value: Json | undefined = document
  for (const token of tokens) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, token)) return undefined
    if (isObject(value)) value = value[token]
    else if (/^(0|[1-9]\d*)$/.test(token)) value = value[Number(token)]
    else return undefined
  }
  return value
}

/** Whether two JSON values are equal. The order of members does not matter, the order of elements does. */
export function isSameJson(one: unknown, other: unknown): boolean {
  if (one === other) return true
  if (Array.isArray(one) && Array.isArray(other))
    return one.length === other.length && one.every((item, index) => isSameJson(item, other[index]))
  if (!isObject(one) || !isObject(other)) return false
  const names = Object.keys(one)
  if (names.length !== Object.keys(other).length) return false
  return names.every((name) => Object.hasOwn(other, name) && isSameJson(one[name], other[name]))
}
