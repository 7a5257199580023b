import * as z from 'zod/mini'
import { schema } from './schema.js'

/**
 * The JSON Schema (draft 2020-12) of a policy, for editors and for other languages. Built when a member is
 * first read: it takes milliseconds, and most processes never need it.
 */
export const policySchema = builtOnDemand(() => z.toJSONSchema(schema, { io: 'input' }))

function builtOnDemand<T extends object>(build: () => T): T {
  const target = {} as T
  let isBuilt = false
  const built = () => {
    if (!isBuilt) Object.assign(target, build())
    isBuilt = true
    return target
  }
  return new Proxy(target, {
    get: (_, name) => Reflect.get(built(), name),
    has: (_, name) => Reflect.has(built(), name),
    ownKeys: () => Reflect.ownKeys(built()),
    getOwnPropertyDescriptor: (_, name) => Reflect.getOwnPropertyDescriptor(built(), name),
  })
}
