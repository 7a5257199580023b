import { defaultPolicy } from '../../fixtures/conformance/policy.js'
import type { Kit, WireRequest } from '../../fixtures/kit.js'
import { createVerifier, type Decision, type Policy, type VerifierOptions } from '../../src/index.js'

/** A verifier with the kit's clock; it is asked as the core is, and what it says of requests is their outcome. */
export function verifierFor(kit: Kit, policy: Partial<Policy> = {}, options: VerifierOptions = {}) {
  const verifier = createVerifier({ ...defaultPolicy(), ...policy }, { now: () => kit.now, ...options })
  const verify = ({ method, url, headers }: WireRequest): Promise<Decision> =>
    verifier.verify({ method, url, headers: new Headers(headers.map(([name, value]) => [name, value])) })
  return { verify, outcome: async (request: WireRequest) => outcomeOf(await verify(request)) }
}

/** The code of a refusal, or else the outcome. */
export function outcomeOf(decision: Decision): string {
  return 'code' in decision ? decision.code : decision.outcome
}
