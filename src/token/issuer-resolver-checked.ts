import { PolicyError } from '../policy/error.js'
import type { IssuerResolver } from './trusted-issuer.js'

// `#issuer-resolver` under the condition `ajwt-checked`: an entry that a function of the app returns is known
// at run time alone, and there is no schema to check it.

export function createResolver(..._arguments: readonly unknown[]): IssuerResolver {
  const message =
    'cannot be used in a bundle with the condition "ajwt-checked", which has no code to check an entry: ' +
    'list the issuers in the policy, or bundle without the condition'
  throw new PolicyError([{ path: 'options.resolveIssuer', message }])
}
