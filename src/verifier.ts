import type { Decision, Denial, Grant, Stage } from './decision.js'
import type { Delegation } from './delegation/delegation.js'
import { createDelegationVerifier } from './delegation/verify-chain.js'
import { createNonces } from './dpop/nonce.js'
import { createProofVerifier } from './dpop/proof.js'
import { createSenderConstraintCheck } from './dpop/sender-constraint.js'
import { createSignatureCheck } from './jws/signature-check.js'
import { createIssuerKeys, type Readiness, readinessOf, refreshAll } from './keys/issuers.js'
import { withDefaults } from './lib/cache.js'
import { sharedByCopies } from './lib/copies.js'
import { isTickCrowded } from './lib/event-loop-tick.js'
import { snapshot } from './lib/plain-data.js'
import { checkOptions, type VerifierOptions } from './options.js'
import { type Checks, decide, emptyState, type Verdict } from './pipeline.js'
import { type CompiledPolicy, compilePolicy } from './policy/compile.js'
import { compileLateRule, readLateRule } from './policy/late-rule.js'
import type { Policy, RouteRule } from './policy/policy.js'
import type { Rule } from './policy/rule.js'
import { createRuleCheck } from './policy/rule-check.js'
import type { RuleData } from './policy/schema.js'
import { describeError, Refusal } from './refusal.js'
import { readRequest, type VerifyRequest } from './request/request.js'
import { AjwtDenial } from './response/ajwt-denial.js'
import { createKnownScopes } from './response/known-scopes.js'
import { type ResourceMetadata, toMetadata } from './response/resource-metadata.js'
import { toDenial } from './response/www-authenticate.js'
import { type Access, matchRequest } from './routing/match.js'
import { memoryReplayStore } from './stores/memory/replay.js'
import { sharedReplayStore } from './stores/memory/shared-replay.js'
import { type Consumed, createConsumeOnce } from './stores/replay.js'
import { createRevocationCheck } from './stores/revocation.js'
import { warnOfObserving } from './telemetry/observe-warning.js'
import { createReporter } from './telemetry/reporter.js'
import { checkTokenTime } from './token/claims.js'
import { createTokenVerifier, type VerifiedToken } from './token/verify-token.js'

/** Decides requests by one policy. */
export interface Verifier {
  /** Never rejects: what cannot be decided is refused. A Fetch `Request` is one, too. */
  verify(request: VerifyRequest): Promise<Decision>
  /** The answer to a refused request; undefined where the decision lets it go on. */
  respond(decision: Denial): Response
  respond(decision: Decision): Response | undefined
  /** The policy, as it was when the verifier was made. */
  readonly policy: Policy
  /** What RFC 9728 has a protected resource say of itself. */
  metadata(): ResourceMetadata
  /** Whether the keys of each issuer are at hand, and why not. Fetches them first where there are none. Never rejects. */
  ready(): Promise<Readiness>
  /** Fetches the keys of every issuer now; whether all of them could be had. */
  refreshKeys(): Promise<boolean>
  /**
   * Applies one more rule to a request that this verifier has decided on: the denial, or undefined where the rule holds.
   * A token that has expired meanwhile is refused; revocations are not asked for again. `params` are the values that
   * `param` in a claim constraint refers to, by default those of the route. Rejects with a PolicyError where the rule is
   * wrong, and with a TypeError where the decision is not one of this verifier's own.
   */
  check(decision: Decision, rule: RouteRule, params?: object): Promise<AjwtDenial | undefined>
  /** Ends it: fetches under way are broken off, and whatever comes later is refused with 503. */
  close(): void
}

/** Who was let in with a grant, for rules that come later on the way. */
export interface AuthorizedRequest {
  readonly grant: Grant
  readonly access: Access
  readonly verified: VerifiedToken
  readonly delegation: Delegation
  /** What the request has used up so far. */
  readonly consumed: Consumed[]
}

/** What rules that come later need to know of a decision. */
interface Decided {
  readonly method: string
  readonly authorized: AuthorizedRequest | undefined
}

/** What the adapters need of a verifier, beyond what its users do. */
export interface VerifierInternals {
  readonly compiled: CompiledPolicy
  /** As `verify`; `authorized` is told who was let in, where somebody was. `consumed` is what the request has used up. */
  judge(
    request: VerifyRequest,
    consumed: Consumed[],
    authorized: (authorized: AuthorizedRequest) => void,
  ): Promise<Decision>
  /** Where signatures are verified from now on, whatever is under way: for measurements. */
  setPlace(place: 'loop' | 'pool'): void
  /**
   * Applies one more rule to a request that this verifier has decided on; undefined where a request without a grant goes
   * on. A rule that is lasting stands behind the route of the request for good: challenges name its scopes from now on.
   */
  applyRule(
    decision: Decision,
    authorized: AuthorizedRequest | undefined,
    rule: RuleData,
    params: Grant['params'],
    method: string,
    isLasting: boolean,
  ): Promise<Decision | undefined>
  /** A refusal that no check of `verify` came to, of a request on which it had decided otherwise. */
  refuse(stage: Stage, refusal: Refusal, method: string, overruled: Decision, mode?: Rule['mode']): Decision
}

const internals = sharedByCopies('verifiers', () => new WeakMap<object, VerifierInternals>())

/** Undefined for anything that `createVerifier` did not make. */
export function internalsOf(verifier: object): VerifierInternals | undefined {
  return internals.get(verifier)
}

/**
 * Makes a verifier. Throws a PolicyError that names every wrong place of the policy, or of the options.
 * Nothing is fetched before the first request that needs it, or `ready()`.
 */
export function createVerifier(policy: Policy, options: VerifierOptions = {}): Verifier {
  checkOptions(options)
  const compiled = compilePolicy(policy)
  const now = options.now ?? Date.now
  const replayStore = options.replayStore ?? (options.now ? memoryReplayStore({ now }) : sharedReplayStore())
  const reporter = createReporter(options, replayStore)
  const issuerKeys = createIssuerKeys(compiled, options, reporter.refreshed)
  const nonces = compiled.proof.nonce === 'required' ? createNonces(options.nonceSecret) : undefined
  const consumeOnce = createConsumeOnce(replayStore)
  const cache = withDefaults(options.cache)
  let underWay = 0
  let place: 'loop' | 'pool' | undefined
  const isSignedBy = createSignatureCheck(() =>
    place === undefined ? underWay > 1 || isTickCrowded() : place === 'pool',
  )
  const checks: Checks = {
    verifyToken: createTokenVerifier(compiled, issuerKeys, cache.tokens, isSignedBy),
    checkRevocation: createRevocationCheck(options.revocations),
    checkSenderConstraint: createSenderConstraintCheck(
      compiled,
      createProofVerifier(compiled, cache.proofKeys, isSignedBy),
      nonces,
      consumeOnce,
    ),
    verifyDelegation: createDelegationVerifier(compiled, cache.assertions, isSignedBy),
    checkRule: createRuleCheck(compiled.token.clockTolerance, consumeOnce),
  }
  const extraRules = new WeakMap<RuleData, Rule>()
  const decided = new WeakMap<object, Decided>()
  const knownScopes = createKnownScopes()
  let isClosed = false

  /** Seconds since the epoch. A clock that gives no number would hold every limit to be kept: it ends here. */
  function seconds(): number {
    const time = now() / 1000
    if (!Number.isFinite(time) || isClosed)
      throw new Error('the clock gives no time, or the verifier is closed')
    return time
  }

  async function judge(
    request: VerifyRequest,
    consumed: Consumed[],
    authorized: ((authorized: AuthorizedRequest) => void) | undefined,
  ): Promise<Decision> {
    const watch = reporter.start()
    let method = ''
    let routedMethod = ''
    let access: Access | undefined
    let verdict: Verdict
    underWay += 1
    try {
      const facts = readRequest(request, consumed)
      method = facts.method
      routedMethod = facts.routing?.method ?? method
      access = matchRequest(compiled, facts)
      verdict = await decide(facts, access, seconds, compiled, checks)
    } catch (error) {
      const refusal = new Refusal('internal_error', { reason: describeError(error) })
      verdict = { ...emptyState, access, outcome: 'refuse', stage: 'request', refusal }
    } finally {
      underWay -= 1
    }
    const decision = toDecision(verdict, routedMethod)
    const letIn = verdict.outcome === 'allow' ? toAuthorized(verdict, consumed) : undefined
    decided.set(decision, { method, authorized: letIn })
    if (letIn !== undefined) authorized?.(letIn)
    reporter.decided(decision, method, verdict, watch)
    return decision
  }

  function toDecision(verdict: Verdict, method: string): Decision {
    const { access } = verdict
    const route = access?.route
    if (verdict.outcome === 'refuse') {
      const refusal = knownScopes.addTo(verdict.refusal, method, route)
      return refuse(verdict.stage, refusal, modeOf(access), route)
    }
    if (verdict.outcome !== 'allow') {
      return Object.freeze({ outcome: verdict.outcome, ...(route === undefined ? {} : { route }) })
    }
    return Object.freeze({ outcome: 'allow', grant: verdict.grant, headers: nonceHeaders() })
  }

  /** Where the route is unknown, the request is let through only if no route is enforced. */
  function modeOf(access: Access | undefined): Rule['mode'] {
    if (access === undefined) return compiled.isObservedThroughout ? undefined : 'enforce'
    return typeof access.kind === 'object' ? access.kind.mode : access.mode
  }

  function refuse(stage: Stage, refusal: Refusal, mode: Rule['mode'], route?: string): Decision {
    const denial: Denial = toDenial(refusal, stage, compiled.challenge, route, nonceHeaders())
    if ((mode ?? compiled.mode) === 'enforce') return denial
    return Object.freeze({ ...denial, outcome: 'observe' })
  }

  /** A nonce goes with every answer, so that the next proof has it (RFC 9449 section 8.2), and in no cache. */
  function nonceHeaders(): Readonly<Record<string, string>> {
    if (nonces === undefined) return noHeaders
    try {
      return Object.freeze({ 'dpop-nonce': nonces.current(seconds()), 'cache-control': 'no-store' })
    } catch {
      // A refusal for want of a clock is sent without one.
      return noHeaders
    }
  }

  async function applyRule(
    authorized: AuthorizedRequest,
    data: RuleData,
    params: Grant['params'],
    method: string,
    isLasting: boolean,
  ): Promise<Decision> {
    const watch = reporter.start()
    const rule = toRule(data)
    const { grant, access, verified, delegation, consumed } = authorized
    const ownRule = typeof access.kind === 'object' ? access.kind : undefined
    // A route that is enforced in an observing policy is enforced down to its handler.
    const mode = rule.mode ?? (ownRule?.mode === 'enforce' ? 'enforce' : undefined)
    if (isLasting && (mode ?? compiled.mode) === 'enforce')
      knownScopes.remember(method, grant.route, rule.scope)
    let stage: Stage = 'rule'
    let refusal: Refusal | undefined
    try {
      const now = seconds()
      const subject = { token: verified.token, delegation, params, now, consumed }
      // A message on a socket may come long after the request that opened it.
      refusal = checkTokenTime(verified.token, now, compiled.token)
      if (refusal !== undefined) stage = 'token'
      else refusal = await checks.checkRule(rule, subject)
    } catch (error) {
      refusal = new Refusal('internal_error', { reason: describeError(error) })
    }
    if (refusal === undefined) return Object.freeze({ outcome: 'allow', grant, headers: noHeaders })
    const told = knownScopes.addTo(refusal, method, grant.route, ownRule?.scope)
    const decision = refuse(stage, told, mode, grant.route)
    reporter.decided(decision, method, { ...authorized, refusal }, watch, 'allow')
    return decision
  }

  function toRule(data: RuleData): Rule {
    const rule = extraRules.get(data) ?? compileLateRule(data, compiled.ruleContext)
    extraRules.set(data, rule)
    return rule
  }

  async function check(
    decision: Decision,
    rule: RouteRule,
    params: object | undefined,
  ): Promise<AjwtDenial | undefined> {
    const known = decided.get(decision)
    if (known === undefined) {
      throw new TypeError(
        'check takes a decision of this verifier: the very object that its verify() has resolved to, not a copy',
      )
    }
    const data = readLateRule(rule)
    const { method, authorized } = known
    const own = params === undefined ? (authorized?.access.params ?? {}) : textsOf(params)
    const result = await applyLateRule(decision, authorized, data, own, method, false)
    return result?.outcome === 'deny' ? new AjwtDenial(result) : undefined
  }

  async function applyLateRule(
    decision: Decision,
    authorized: AuthorizedRequest | undefined,
    data: RuleData,
    params: Grant['params'],
    method: string,
    isLasting: boolean,
  ): Promise<Decision | undefined> {
    return authorized === undefined
      ? refuseWithoutGrant(decision, data, method)
      : applyRule(authorized, data, params, method, isLasting)
  }

  /** Where the request has no grant, no rule holds that is enforced. */
  function refuseWithoutGrant(decision: Decision, rule: RuleData, method: string): Decision | undefined {
    if (decision.outcome === 'deny') return decision
    if (decision.outcome === 'anonymous' && rule.anonymous === true) return undefined
    // What was let through to be observed goes on, unless this very rule is to be enforced.
    const mode = rule.mode ?? (decision.outcome === 'observe' ? 'observe' : undefined)
    if (mode === 'observe') return undefined
    const cause = { reason: 'the rule needs a grant, and the request has none' }
    const missing = new Refusal('credentials_missing', cause, { scope: toRule(rule).scope })
    return refuseLater('request', missing, method, decision, mode)
  }

  const refuseLater: VerifierInternals['refuse'] = (stage, refusal, method, overruled, mode) => {
    const watch = reporter.start()
    const decision = refuse(stage, refusal, mode)
    reporter.decided(decision, method, { ...emptyState, refusal }, watch, overruled.outcome)
    return decision
  }

  const ownPolicy = snapshot(policy) as Policy
  const verifier: Verifier = Object.freeze({
    verify: (request: VerifyRequest) => judge(request, [], undefined),
    respond: respond as Verifier['respond'],
    policy: ownPolicy,
    metadata: () => toMetadata(compiled),
    check: (decision: Decision, rule: RouteRule, params?: object) => check(decision, rule, params),
    ready: () => readinessOf(issuerKeys),
    refreshKeys: () => refreshAll(issuerKeys),
    close() {
      isClosed = true
      for (const keys of issuerKeys.values()) keys.close()
      reporter.close()
    },
  })
  internals.set(verifier, {
    compiled,
    judge,
    setPlace(wanted) {
      place = wanted
    },
    applyRule: applyLateRule,
    refuse: refuseLater,
  })
  warnOfObserving(ownPolicy)
  return verifier
}

const noHeaders: Readonly<Record<string, string>> = Object.freeze({})

function toAuthorized(
  { grant, access, verified, delegation }: Extract<Verdict, { outcome: 'allow' }>,
  consumed: Consumed[],
): AuthorizedRequest {
  return { grant, access, verified, delegation, consumed }
}

/** Only text can be compared with a claim. */
export function textsOf(params: unknown): Grant['params'] {
  return Object.fromEntries(Object.entries(params ?? {}).filter(([, value]) => typeof value === 'string'))
}

function respond(decision: Decision): Response | undefined {
  if (decision.outcome !== 'deny') return undefined
  const { status, headers, body } = decision
  return new Response(JSON.stringify(body), { status, headers })
}
