import { toArray } from '../lib/to-array.js'
import type { VerifierOptions } from '../options.js'
import { findKnownServer } from '../policy/known-server.js'
import type { IssuerPolicy, Policy } from '../policy/policy.js'

/** The entries of `issuer`, with their paths. */
export function issuersOf(policy: Policy): readonly (readonly [PropertyKey[], IssuerPolicy])[] {
  const isList = Array.isArray(policy.issuer)
  return toArray<string | IssuerPolicy>(policy.issuer).map((entry, index) => [
    isList ? ['issuer', index] : ['issuer'],
    typeof entry === 'string' ? { url: entry } : entry,
  ])
}

/** The policy with other entries in place of those of `issuer`. */
export function withIssuers(policy: Policy, change: (entry: IssuerPolicy) => IssuerPolicy): Policy {
  const entries = issuersOf(policy).map(([, entry]) => change(entry))
  const [only] = entries
  return { ...policy, issuer: Array.isArray(policy.issuer) || only === undefined ? entries : only }
}

/** The `iss` of an entry's tokens. */
export function nameOf({ name, url }: IssuerPolicy): string {
  return name ?? url ?? ''
}

export function profileOf(entry: IssuerPolicy): 'ajwt' | 'oauth' {
  return entry.profile ?? findKnownServer(entry)?.profile ?? 'ajwt'
}

/** Options that a verifier of this policy cannot be without. The hook allows what the policy allows. */
export function neededOptions({ routes }: Policy): Pick<VerifierOptions, 'authorize'> {
  const isAsked = Object.values(routes).some(
    (access) => typeof access === 'object' && access.authorize === true,
  )
  return isAsked ? { authorize: () => true } : {}
}

/** The claims that each token of an entry has to meet, those that `like` stands for as well. */
export function claimsOf(entry: IssuerPolicy): NonNullable<IssuerPolicy['claims']> {
  return { ...findKnownServer(entry)?.claims, ...entry.claims }
}
