import * as z from 'zod/mini'

// The parts of which the schemas are made. The message of a union completes "must be".

export const text = z.string().check(z.minLength(1, 'must not be empty'))

export const pointer = z
  .string()
  .check(z.regex(/^(\/([^~/]|~0|~1)*)+$/, 'must be a JSON pointer (RFC 6901), such as /amount'))

export const json = z.json()

export function nonEmpty<T extends z.ZodMiniType>(item: T, what: string) {
  return z.array(item).check(z.minLength(1, `must name at least one ${what}`))
}

export function union<const T extends readonly z.ZodMiniType[]>(branches: T, forms: string) {
  return z.union(branches, { error: forms })
}

/**
 * Refuses unknown keys: a misspelt condition would never be checked. `elsewhere` says where keys belong that
 * are known in other places. The message is the list of known keys, and `elsewhere` as JSON.
 */
export function object<T extends z.core.$ZodShape>(
  shape: T,
  elsewhere: Readonly<Record<string, string>> = {},
) {
  const message = `${Object.keys(shape).join(' ')}\n${JSON.stringify(elsewhere)}`
  return z.strictObject(shape, {
    error: ({ code }) => (code === 'unrecognized_keys' ? message : undefined),
  })
}

export const hasKeys = (constraint: object) => Object.keys(constraint).length > 0
