import { sha256 } from '#runtime'
import { sharedInProcess, version } from '../lib/copies.js'
import { snapshot } from '../lib/plain-data.js'
import { PolicyError } from './error.js'
import type { Policy } from './policy.js'

const checked = sharedInProcess('checked policies', () => new WeakSet<object>())

/** SHA-256 of a policy as JSON, base64url. */
export function digestOf(policy: unknown): string {
  return sha256(JSON.stringify(policy))
}

/**
 * A policy that `ajwt check --emit` has checked. Only the module that it writes calls this. A bundle with the
 * condition `ajwt-checked` takes no other policy: it has no code to check one. Throws a PolicyError where
 * another version of this package has checked the policy, or where it was changed since.
 */
export function checkedPolicy(checkedBy: string, digest: string, policy: Policy): Policy {
  const again = 'run `ajwt check --emit` again'
  if (checkedBy !== version) {
    const message = `was checked by ajwt ${checkedBy}, and this is ${version}: ${again}`
    throw new PolicyError([{ path: '', message }])
  }
  if (digestOf(policy) !== digest) {
    throw new PolicyError([{ path: '', message: `was changed after it was checked: ${again}` }])
  }
  const copy = snapshot(policy)
  checked.add(copy)
  return copy
}

export function isChecked(policy: unknown): policy is Policy {
  return typeof policy === 'object' && policy !== null && checked.has(policy)
}
