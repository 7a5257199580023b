import type { Grant, Stage } from './decision.js'
import type { Delegation } from './delegation/delegation.js'
import { type DelegationVerifier, findAllowedChain } from './delegation/verify-chain.js'
import type { SenderConstraintCheck } from './dpop/sender-constraint.js'
import { toGrant } from './grant.js'
import { type CheckObserver, isRefusal, Refusal } from './refusal.js'
import { type Credentials, hasNoCredentials, readCredentials, readForeign } from './request/credentials.js'
import type { RequestFacts } from './request/request.js'
import type { Access } from './routing/match.js'
import type { Rule } from './rules/rule.js'
import type { RuleCheck } from './rules/rule-check.js'
import type { RuleInput, RuleTrace } from './rules/rule-input.js'
import type { RevocationCheck } from './token/revocation.js'
import { checkTokenTime } from './token/token-time.js'
import type { TokenVerifier, VerifiedToken } from './token/verify-token.js'

/** The checks of one compiled policy. */
export interface Checks {
  readonly tokens: TokenVerifier
  readonly checkRevocation: RevocationCheck
  readonly checkSenderConstraint: SenderConstraintCheck
  readonly verifyDelegation: DelegationVerifier
  readonly checkRule: RuleCheck
}

export interface Pipeline {
  readonly checks: Checks
  /** Seconds since the epoch. Read again after each `await`, because stores and key fetches take time. */
  readonly clock: () => number
  /** The mode of the policy, for rules without their own. */
  readonly mode: 'enforce' | 'observe'
}

/** The results of the stages up to the outcome of a request. */
export interface PipelineState {
  readonly access: Access | undefined
  readonly verified: VerifiedToken | undefined
  readonly delegation: Delegation | undefined
  readonly refusal: Refusal | undefined
  readonly trace: RuleTrace | undefined
}

/** Has every member, so that none is read from a polluted prototype. */
export const emptyState: PipelineState = Object.freeze({
  access: undefined,
  verified: undefined,
  delegation: undefined,
  refusal: undefined,
  trace: undefined,
})

export type Outcome =
  | (PipelineState & { readonly outcome: 'public' })
  | (PipelineState & { readonly outcome: 'anonymous'; readonly hasForeignCredentials: boolean })
  | (PipelineState & { readonly outcome: 'refuse'; readonly stage: Stage; readonly refusal: Refusal })
  | {
      readonly outcome: 'allow'
      readonly grant: Grant
      readonly access: Access
      readonly verified: VerifiedToken
      readonly delegation: Delegation
      readonly refusal: undefined
      readonly trace: RuleTrace | undefined
    }

/**
 * Runs the stages in sequence, never in parallel, so the same request always gets the same denial: that of
 * the first failed stage.
 */
export async function decide(
  request: RequestFacts,
  access: Access,
  { checks, clock, mode }: Pipeline,
  observer?: CheckObserver,
): Promise<Outcome> {
  if (access.kind === 'public') return { ...emptyState, outcome: 'public', access }
  const rule = access.kind === 'undeclared' ? undefined : access.kind
  if (rule?.anonymous && (await isAnonymous(request, rule.anonymous, checks.tokens)))
    return { ...emptyState, outcome: 'anonymous', access, hasForeignCredentials: !hasNoCredentials(request) }

  observer?.begin('credentials', 'one token, of scheme DPoP or Bearer', schemesOf(request))
  const credentials = await readSoleCredentials(request, checks.tokens)
  if (isRefusal(credentials)) return refuse('request', withScope(credentials, rule?.scope), { access })

  observer?.enter('token')
  const verified = await checks.tokens.verify(credentials.unverifiedToken, clock(), clock, observer)
  if (isRefusal(verified)) return refuse('token', verified, { access })
  observer?.begin('field', fieldName(verified.issuer.entry.header), fieldName(credentials.field))
  if (verified.issuer.entry.header !== credentials.field)
    return refuse('token', wrongField(verified, credentials.field), { access })

  observer?.enter('revocation')
  const { token } = verified
  const allowedChain = findAllowedChain(token, rule?.chains?.get(token.issuer))
  const revocation = await checks.checkRevocation(verified, allowedChain, observer)
  if (revocation !== undefined) return refuse('revocation', revocation, { access, verified })

  observer?.enter('proof')
  const { scheme } = credentials
  const constraint = await checks.checkSenderConstraint(request, scheme, verified, clock(), clock, observer)
  if (constraint !== undefined) return refuse('proof', constraint, { access, verified })

  observer?.enter('delegation')
  // The token may have expired during the awaits for stores, keys and the thread pool.
  const expired = checkTokenTime(token, clock())
  if (expired !== undefined) return refuse('token', expired, { access, verified })
  const delegation = await checks.verifyDelegation(verified, clock(), allowedChain, observer)
  const now = clock()
  const expiredMeanwhile = checkTokenTime(token, now)
  if (expiredMeanwhile !== undefined) return refuse('token', expiredMeanwhile, { access, verified })
  if (isRefusal(delegation)) return refuse('delegation', delegation, { access, verified })

  observer?.enter('rule')
  observer?.begin('route', 'a key of routes', access.route)
  const state = { access, verified, delegation }
  if (rule === undefined) return refuse('rule', new Refusal('route_not_declared', access.cause), state)
  const makeGrant = () => toGrant(verified.identity, delegation, access)
  const input = toRuleInput(request, access, rule, mode, { token, delegation, now, toGrant: makeGrant })
  const { trace } = input
  const denial = await checks.checkRule(rule, input, observer)
  if (denial !== undefined) return refuse('rule', denial, { ...state, trace })
  // The hook `authorize` and the stores of limits may have taken their time.
  const expiredInRule = checkTokenTime(token, clock())
  if (expiredInRule !== undefined) return refuse('token', expiredInRule, { ...state, trace })

  return { outcome: 'allow', grant: makeGrant(), access, verified, delegation, refusal: undefined, trace }

  function refuse(stage: Stage, refusal: Refusal, known: Partial<PipelineState>): Outcome {
    return { ...emptyState, ...known, outcome: 'refuse', stage, refusal }
  }
}

/** The input of a route's own rule. One literal: every request makes it. */
function toRuleInput(
  request: RequestFacts,
  access: Access,
  rule: Rule,
  mode: 'enforce' | 'observe',
  verified: Pick<RuleInput, 'token' | 'delegation' | 'now' | 'toGrant'>,
): RuleInput {
  return {
    token: verified.token,
    delegation: verified.delegation,
    params: access.params,
    now: verified.now,
    consumed: request.consumed,
    route: access.route,
    isObserved: (rule.mode ?? mode) === 'observe',
    isOncePerRequest: true,
    method: request.method,
    toGrant: verified.toGrant,
    source: request.source,
    trace: {},
    request: undefined,
  }
}

function fieldName(field = 'authorization'): string {
  return `field ${field}`
}

/** The schemes of the credentials, without any credential. */
function schemesOf({ authorization, tokenFields }: RequestFacts): string {
  const schemes = authorization.map(
    (value) => /^(dpop|bearer|basic)(?= )/i.exec(value)?.[0] ?? 'another scheme',
  )
  return [...schemes, ...tokenFields.map(({ name }) => fieldName(name))].join(', ') || 'no token'
}

/** A failed stage. */
export interface FailedStage {
  readonly stage: Stage
  readonly refusal: Refusal
}

/**
 * Verifies the token and its revocation again. Resolves to the seconds until the token expires, or to the
 * failed stage. No delegation expires before the token.
 */
export async function recheck(
  { access, verified: { text } }: { readonly access: Access; readonly verified: VerifiedToken },
  { checks, clock }: Pipeline,
): Promise<number | FailedStage> {
  const verified = await checks.tokens.verify(text, clock(), clock)
  if (isRefusal(verified)) return { stage: 'token', refusal: verified }
  const { token } = verified
  const rule = typeof access.kind === 'object' ? access.kind : undefined
  const allowedChain = findAllowedChain(token, rule?.chains?.get(token.issuer))
  const revocation = await checks.checkRevocation(verified, allowedChain)
  if (revocation !== undefined) return { stage: 'revocation', refusal: revocation }
  return token.exp + token.limits.clockTolerance - clock()
}

/** Whether a request has no credentials or, for `anonymous: 'foreign'`, only another party's. */
async function isAnonymous(
  request: RequestFacts,
  kind: true | 'foreign',
  tokens: TokenVerifier,
): Promise<boolean> {
  if (hasNoCredentials(request)) return true
  if (kind !== 'foreign') return false
  const foreign = readForeign(request)
  return typeof foreign === 'string' ? await tokens.isForeign(foreign) : foreign
}

/** Refuses credentials beside a second token, in another field, that may be one of a configured issuer. */
async function readSoleCredentials(
  request: RequestFacts,
  tokens: TokenVerifier,
): Promise<Credentials | Refusal> {
  const credentials = readCredentials(request)
  if (isRefusal(credentials) || credentials.besideToken === undefined) return credentials
  return (await tokens.isForeign(credentials.besideToken)) ? credentials : secondToken
}

const secondToken = new Refusal('credentials_ambiguous', {
  reason:
    'the request has one token in the Authorization field and another in the field of an issuer (key header)',
})

/** The tokens of an issuer are only accepted in the field that its entry names. */
function wrongField({ issuer, token }: VerifiedToken, field = 'authorization'): Refusal {
  const { name, header = 'authorization' } = issuer.entry
  const reason = 'this issuer has tokens in another request field (key header of its entry)'
  const cause = { reason, issuer: name, claim: 'iss', expected: header, found: field }
  return new Refusal('issuer_not_trusted', cause, undefined, token.agent)
}

/** The challenge for missing credentials names the scopes that a token needs (RFC 6750 section 3). */
function withScope(refusal: Refusal, scope: string | undefined): Refusal {
  const { code, cause } = refusal
  return code === 'credentials_missing' ? new Refusal(code, cause, { scope }) : refusal
}
