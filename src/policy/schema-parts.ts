import * as z from 'zod/mini'

// The parts of which the schemas are made. The message of a union completes "must be"; the message for
// unknown keys is the list of known keys.

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

/** Refuses unknown keys: a misspelt condition would never be checked. */
export function object<T extends z.core.$ZodShape>(shape: T) {
  const names = Object.keys(shape).join(' ')
  return z.strictObject(shape, {
    error: ({ code }) => (code === 'unrecognized_keys' ? names : undefined),
  })
}

export const hasKeys = (constraint: object) => Object.keys(constraint).length > 0
