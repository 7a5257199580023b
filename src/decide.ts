import type { Refusal } from './challenge.js'
import { hasNoCredentials, readCredentials } from './credentials.js'
import type { Grant, Stage } from './decision.js'
import type { Delegation } from './delegation/delegation.js'
import type { DelegationVerifier } from './delegation/verify-delegation.js'
import type { DenialCode } from './denials.js'
import { toGrant } from './grant.js'
import type { RuleCheck } from './intent/rule-check.js'
import type { CompiledPolicy } from './policy/compile.js'
import { type Access, matchRequest } from './policy/match-request.js'
import type { PossessionCheck } from './proof/possession.js'
import type { RequestFacts } from './request.js'
import type { RevocationCheck } from './revocation.js'
import type { TokenVerifier, VerifiedToken } from './token/verify-token.js'

/** The checks, each made for one policy. */
export interface Checks {
  readonly verifyToken: TokenVerifier
  readonly checkRevocation: RevocationCheck
  readonly checkPossession: PossessionCheck
  readonly verifyDelegation: DelegationVerifier
  readonly checkRule: RuleCheck
}

/** What was found out on the way to a verdict. */
export interface Findings {
  readonly access?: Access
  readonly verified?: VerifiedToken
  readonly delegation?: Delegation
}

export type Verdict = Findings &
  (
    | { readonly outcome: 'public' | 'anonymous' }
    | { readonly outcome: 'allow'; readonly grant: Grant }
    | { readonly outcome: 'refuse'; readonly refusal: Refusal }
  )

/**
 * The way of a request: one check after the other, never raced, so that one request always meets one verdict.
 * The first check that fails names it. `now` is in seconds since the epoch.
 */
export async function decide(
  request: RequestFacts,
  now: number,
  policy: CompiledPolicy,
  checks: Checks,
): Promise<Verdict> {
  const access = matchRequest(policy, request)
  if (access.kind === 'public') return { outcome: 'public', access }
  const rule = access.kind === 'undeclared' ? undefined : access.kind
  if (rule?.anonymous && hasNoCredentials(request)) return { outcome: 'anonymous', access }

  const credentials = readCredentials(request)
  if (isCode(credentials)) {
    // Whoever has shown nothing yet is told at once which scopes to come with.
    const details = credentials === 'credentials_missing' ? { scope: rule?.scope } : undefined
    return refuse('request', credentials, { access }, details)
  }
  const verified = await checks.verifyToken(credentials.unverifiedToken, now)
  if (isCode(verified)) return refuse('token', verified, { access })

  const revocation = await checks.checkRevocation(verified.revocationIds)
  if (revocation !== undefined) return refuse('revocation', revocation, { access, verified })

  const possession = await checks.checkPossession(request, credentials.scheme, verified, now)
  if (possession !== undefined) return refuse('proof', possession, { access, verified })

  const delegation = checks.verifyDelegation(verified, now, rule?.chains)
  if (isCode(delegation)) return refuse('delegation', delegation, { access, verified })

  const findings = { access, verified, delegation }
  if (rule === undefined) return refuse('rule', 'route_not_declared', findings)
  const denial = await checks.checkRule(rule, {
    token: verified.token,
    delegation,
    params: access.params,
    now,
  })
  if (denial !== undefined) return refuse('rule', denial.code, findings, denial.details)
  return { outcome: 'allow', grant: toGrant(verified, delegation, access), ...findings }
}

/** Checks answer with what they found, or with the code of what is wrong. */
function isCode<T extends object>(result: T | DenialCode): result is DenialCode {
  return typeof result === 'string'
}

function refuse(stage: Stage, code: DenialCode, findings: Findings, details?: Refusal['details']): Verdict {
  return { outcome: 'refuse', refusal: { code, stage, details }, ...findings }
}
