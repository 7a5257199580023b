import type { Json } from '../lib/json.js'

/** The reference tokens of a JSON pointer (RFC 6901 section 4). */
export function parsePointer(pointer: string): readonly string[] {
  return pointer
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** The value that the tokens lead to, or undefined; only what the document itself holds is found. */
export function resolvePointer(document: Json, tokens: readonly string[]): Json | undefined {
  let value: Json | undefined = document
  for (const token of tokens) {
    if (typeof value !== 'object' || value === null) return undefined
    if (Array.isArray(value) && !/^(0|[1-9]\d*)$/.test(token)) return undefined
    value = Object.hasOwn(value, token) ? (value as Record<string, Json>)[token] : undefined
  }
  return value
}

/** Whether two JSON values are the same: members in any order, array elements in theirs. */
export function isSameJson(one: Json, other: Json): boolean {
  if (one === other) return true
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false
  if (Array.isArray(one) !== Array.isArray(other)) return false
  const names = Object.keys(one)
  if (names.length !== Object.keys(other).length) return false
  return names.every(
    (name) =>
      Object.hasOwn(other, name) &&
      isSameJson((one as Record<string, Json>)[name] as Json, (other as Record<string, Json>)[name] as Json),
  )
}
