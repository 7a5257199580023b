import type { Grant, Stage } from './decision.js'
import type { Delegation } from './delegation/delegation.js'
import { type DelegationVerifier, findAllowedChain } from './delegation/verify-chain.js'
import type { SenderConstraintCheck } from './dpop/sender-constraint.js'
import { toGrant } from './grant.js'
import { isPromiseLike } from './lib/promise.js'
import type { CompiledPolicy } from './policy/compile.js'
import type { RuleCheck } from './policy/rule-check.js'
import { isRefusal, Refusal } from './refusal.js'
import { hasNoCredentials, readCredentials } from './request/credentials.js'
import type { RequestFacts } from './request/request.js'
import type { Access } from './routing/match.js'
import type { RevocationCheck } from './stores/revocation.js'
import { checkTokenTime } from './token/claims.js'
import type { TokenVerifier, VerifiedToken } from './token/verify-token.js'

/** The checks, each made for one policy. */
export interface Checks {
  readonly verifyToken: TokenVerifier
  readonly checkRevocation: RevocationCheck
  readonly checkSenderConstraint: SenderConstraintCheck
  readonly verifyDelegation: DelegationVerifier
  readonly checkRule: RuleCheck
}

/** What was found out on the way to a verdict. */
export interface PipelineState {
  readonly access: Access | undefined
  readonly verified: VerifiedToken | undefined
  readonly delegation: Delegation | undefined
  readonly refusal: Refusal | undefined
}

/** Every member is there, so that none is read from a prototype. */
export const emptyState: PipelineState = Object.freeze({
  access: undefined,
  verified: undefined,
  delegation: undefined,
  refusal: undefined,
})

export type Verdict =
  | (PipelineState & { readonly outcome: 'public' | 'anonymous' })
  | (PipelineState & { readonly outcome: 'refuse'; readonly stage: Stage; readonly refusal: Refusal })
  | {
      readonly outcome: 'allow'
      readonly grant: Grant
      readonly access: Access
      readonly verified: VerifiedToken
      readonly delegation: Delegation
      readonly refusal: undefined
    }

/**
 * The way of a request: one check after the other, never raced, so that one request always meets one verdict.
 * The first check that fails names it. What is there already is not waited for; where something was, the clock, in
 * seconds, is read anew.
 */
export async function decide(
  request: RequestFacts,
  access: Access,
  clock: () => number,
  policy: CompiledPolicy,
  checks: Checks,
): Promise<Verdict> {
  if (access.kind === 'public') return { ...emptyState, outcome: 'public', access }
  const rule = access.kind === 'undeclared' ? undefined : access.kind
  if (rule?.anonymous && hasNoCredentials(request)) return { ...emptyState, outcome: 'anonymous', access }

  const credentials = readCredentials(request)
  if (isRefusal(credentials)) {
    // The challenge for missing credentials tells which scopes to ask for.
    const { code, cause } = credentials
    const details = code === 'credentials_missing' ? { scope: rule?.scope } : undefined
    return refuse('request', new Refusal(code, cause, details), { ...emptyState, access })
  }
  let now = clock()
  let verified = checks.verifyToken(credentials.unverifiedToken, now, clock)
  if (isPromiseLike(verified)) {
    verified = await verified
    now = clock()
  }
  if (isRefusal(verified)) return refuse('token', verified, { ...emptyState, access })

  const authorized: PipelineState = { access, verified, delegation: undefined, refusal: undefined }
  const { token } = verified
  const allowedChain = findAllowedChain(token, rule?.chains?.get(token.issuer))
  let revocation = checks.checkRevocation(verified, allowedChain)
  if (isPromiseLike(revocation)) {
    revocation = await revocation
    now = clock()
  }
  if (revocation !== undefined) return refuse('revocation', revocation, authorized)

  let constraint = checks.checkSenderConstraint(request, credentials.scheme, verified, now, clock)
  if (isPromiseLike(constraint)) {
    constraint = await constraint
    now = clock()
  }
  if (constraint !== undefined) return refuse('proof', constraint, authorized)

  // The stores may have taken their time.
  const ended = checkTokenTime(verified.token, now, policy.token)
  if (ended !== undefined) return refuse('token', ended, authorized)

  let delegation = checks.verifyDelegation(verified, now, allowedChain)
  if (isPromiseLike(delegation)) {
    delegation = await delegation
    now = clock()
    // No hop of a chain ends before the token does.
    const endedMeanwhile = checkTokenTime(verified.token, now, policy.token)
    if (endedMeanwhile !== undefined) return refuse('token', endedMeanwhile, authorized)
  }
  if (isRefusal(delegation)) return refuse('delegation', delegation, authorized)

  const findings = { access, verified, delegation, refusal: undefined }
  if (rule === undefined) return refuse('rule', new Refusal('route_not_declared', access.cause), findings)
  const subject = { token, delegation, params: access.params, now, consumed: request.consumed }
  let denial = checks.checkRule(rule, subject)
  if (isPromiseLike(denial)) denial = await denial
  if (denial !== undefined) return refuse('rule', denial, findings)
  const grant = toGrant(verified.identity, delegation, access)
  return { outcome: 'allow', grant, access, verified, delegation, refusal: undefined }
}

function refuse(stage: Stage, refusal: Refusal, findings: PipelineState): Verdict {
  return { ...findings, outcome: 'refuse', stage, refusal }
}
