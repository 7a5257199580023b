import type { Policy } from './policy.js'

/** Gives a policy its type, for an editor to check and to complete; returns it as it is. */
export function definePolicy<const P extends Policy>(policy: P): P {
  return policy
}
