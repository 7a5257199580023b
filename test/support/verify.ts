import { defaultPolicy } from '../../fixtures/conformance/policy.js'
import type { Kit, WireRequest } from '../../fixtures/kit.js'
import { createVerifier, type Decision, type Policy, type VerifierOptions } from '../../src/index.js'

/** A verifier with the clock of the kit. `outcome` returns the code of a denial, or the outcome. */
export function verifierFor(kit: Kit, policy: Partial<Policy> = {}, options: VerifierOptions = {}) {
  const verifier = createVerifier({ ...defaultPolicy(), ...policy }, { now: () => kit.now, ...options })
  const verify = ({ method, url, headers }: WireRequest): Promise<Decision> =>
    verifier.verify({ method, url, headers: new Headers(headers.map(([name, value]) => [name, value])) })
  return { verify, outcome: async (request: WireRequest) => outcomeOf(await verify(request)) }
}

/** The code of a denial, or else the outcome. */
export function outcomeOf(decision: Decision): string {
  return 'code' in decision ? decision.code : decision.outcome
}
