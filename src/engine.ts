import type { CompiledPolicy } from './compile/compile-policy.js'
import { compileLateRule } from './compile/late-rule.js'
import type { Decision, Denial, Grant, Stage } from './decision.js'
import type { Delegation } from './delegation/delegation.js'
import { createDelegationVerifier } from './delegation/verify-chain.js'
import { createNonces, type Nonces } from './dpop/nonce.js'
import { createProofVerifier } from './dpop/proof.js'
import { createSenderConstraintCheck } from './dpop/sender-constraint.js'
import { createSignatureCheck } from './jws/signature-check.js'
import { withDefaults } from './lib/cache.js'
import { isTickCrowded } from './lib/event-loop-tick.js'
import type { VerifierOptions } from './options.js'
import { type Checks, decide, emptyState, type Outcome, type Pipeline } from './pipeline.js'
import type { RuleData } from './policy/schema.js'
import { describeError, Refusal } from './refusal.js'
import { readRequest, type VerifyRequest } from './request/request.js'
import { createKnownScopes } from './response/known-scopes.js'
import { toDenial } from './response/www-authenticate.js'
import { type Access, matchRequest } from './routing/match.js'
import type { Rule } from './rules/rule.js'
import { createRuleCheck } from './rules/rule-check.js'
import { memoryReplayStore } from './stores/memory/replay.js'
import { sharedReplayStore } from './stores/memory/shared-replay.js'
import { type Consumed, createConsumeOnce } from './stores/replay.js'
import { createReporter, type Reporter } from './telemetry/reporter.js'
import { createRevocationCheck } from './token/revocation.js'
import { checkTokenTime } from './token/token-time.js'
import { createIssuers, type Issuers } from './token/trusted-issuers.js'
import { createTokenVerifier, type VerifiedToken } from './token/verify-token.js'

/** A request that was allowed, for rules that are applied to it later. */
export interface AuthorizedRequest {
  readonly grant: Grant
  readonly access: Access
  readonly verified: VerifiedToken
  readonly delegation: Delegation
  /** The proofs and single-use tokens that the request has used up so far. */
  readonly consumed: Consumed[]
}

/** What later rules need to know of a decision. */
export interface DecidedRequest {
  readonly method: string
  /** Undefined where the request was not allowed with a grant. */
  readonly authorized: AuthorizedRequest | undefined
}

/** A later rule, and the request that it is applied to. */
export interface LateRule {
  readonly data: RuleData
  /** The values that `param` in a claim constraint refers to. */
  readonly params: Grant['params']
  /** As on the wire, for telemetry and known scopes. */
  readonly method: string
  /** Whether the rule stands behind the route for good, as `requireIntent` does: challenges then name its scopes. */
  readonly isLasting: boolean
}

const noHeaders: Readonly<Record<string, string>> = Object.freeze({})

/**
 * Decides requests by one compiled policy: the state behind a verifier, which also serves the adapters. Nothing in
 * it rejects on account of a request.
 */
export class Engine {
  readonly compiled: CompiledPolicy
  readonly issuers: Issuers
  readonly #pipeline: Pipeline
  readonly #reporter: Reporter
  readonly #nonces: Nonces | undefined
  readonly #now: () => number
  readonly #knownScopes = createKnownScopes()
  readonly #lateRules = new WeakMap<RuleData, Rule>()
  readonly #decided = new WeakMap<Decision, DecidedRequest>()
  /** Anonymous decisions on requests with another party's credentials. */
  readonly #foreign = new WeakSet<Decision>()
  #pending = 0
  #signatureThread: 'loop' | 'pool' | undefined
  #isClosed = false

  constructor(compiled: CompiledPolicy, options: VerifierOptions) {
    this.compiled = compiled
    this.#now = options.now ?? Date.now
    const replayStore =
      options.replayStore ?? (options.now ? memoryReplayStore({ now: options.now }) : sharedReplayStore())
    this.#reporter = createReporter(options, replayStore)
    this.issuers = createIssuers(compiled, options, this.#reporter.refreshed)
    this.#nonces = compiled.proof.nonce === 'required' ? createNonces(options.nonceSecret) : undefined
    const consumeOnce = createConsumeOnce(replayStore)
    const cache = withDefaults(options.cache)
    const isSignedBy = createSignatureCheck(() => this.#isBusy())
    const verifyProof = createProofVerifier(compiled, cache.proofKeys, isSignedBy)
    const checks: Checks = {
      tokens: createTokenVerifier(compiled, this.issuers, cache.tokens, isSignedBy),
      checkRevocation: createRevocationCheck(options.revocations),
      checkSenderConstraint: createSenderConstraintCheck(compiled, verifyProof, this.#nonces, consumeOnce),
      verifyDelegation: createDelegationVerifier(compiled, cache.assertions, isSignedBy),
      checkRule: createRuleCheck(consumeOnce),
    }
    this.#pipeline = { checks, clock: () => this.#seconds() }
  }

  /** Decides one request. `onAllow` hears of it where it is allowed with a grant. */
  async decideRequest(
    request: VerifyRequest,
    consumed: Consumed[],
    onAllow?: (authorized: AuthorizedRequest) => void,
  ): Promise<Decision> {
    const watch = this.#reporter.start()
    let method = ''
    let routedMethod = ''
    let access: Access | undefined
    let outcome: Outcome
    this.#pending += 1
    try {
      const facts = readRequest(request, consumed, this.compiled.tokenFields)
      method = facts.method
      routedMethod = facts.routing?.method ?? method
      access = matchRequest(this.compiled, facts)
      outcome = await decide(facts, access, this.#pipeline)
    } catch (error) {
      const refusal = new Refusal('internal_error', { reason: describeError(error) })
      outcome = { ...emptyState, access, outcome: 'refuse', stage: 'request', refusal }
    } finally {
      this.#pending -= 1
    }
    const decision = this.#toDecision(outcome, routedMethod)
    const authorized = outcome.outcome === 'allow' ? toAuthorized(outcome, consumed) : undefined
    this.#decided.set(decision, { method, authorized })
    if (authorized !== undefined) onAllow?.(authorized)
    this.#reporter.decided(decision, method, outcome, watch)
    return decision
  }

  /** The request of a decision; undefined where the decision is none of this engine's own. */
  requestOf(decision: Decision): DecidedRequest | undefined {
    return this.#decided.get(decision)
  }

  /**
   * Applies one more rule to a request that was decided on. Undefined where a request without a grant may go on.
   */
  async applyRule(
    decision: Decision,
    authorized: AuthorizedRequest | undefined,
    rule: LateRule,
  ): Promise<Decision | undefined> {
    return authorized === undefined
      ? this.#refuseWithoutGrant(decision, rule)
      : this.#applyToGrant(authorized, rule)
  }

  /** Refuses a request on which it had decided otherwise, and reports that. */
  overrule(
    overruled: Decision,
    stage: Stage,
    refusal: Refusal,
    method: string,
    mode?: Rule['mode'],
  ): Decision {
    const watch = this.#reporter.start()
    const decision = this.#refuse(stage, refusal, mode)
    this.#reporter.decided(decision, method, { ...emptyState, refusal }, watch, overruled.outcome)
    return decision
  }

  /** Where signatures are verified from now on, whatever else is pending: for measurements. */
  setSignatureThread(thread: 'loop' | 'pool'): void {
    this.#signatureThread = thread
  }

  close(): void {
    this.#isClosed = true
    this.issuers.close()
    this.#reporter.close()
  }

  async #applyToGrant(authorized: AuthorizedRequest, late: LateRule): Promise<Decision> {
    const { grant, access, verified, delegation, consumed } = authorized
    const watch = this.#reporter.start()
    const rule = this.#toRule(late.data)
    const routeRule = typeof access.kind === 'object' ? access.kind : undefined
    // A route that is enforced in an observing policy is enforced down to its handler.
    const mode = rule.mode ?? (routeRule?.mode === 'enforce' ? 'enforce' : undefined)
    if (late.isLasting && (mode ?? this.compiled.mode) === 'enforce')
      this.#knownScopes.remember(late.method, grant.route, rule.scope)
    let stage: Stage = 'rule'
    let refusal: Refusal | undefined
    try {
      const { checks, clock } = this.#pipeline
      const now = clock()
      // A message on a socket may come long after the request that opened it.
      const expired = checkTokenTime(verified.token, now)
      if (expired !== undefined) stage = 'token'
      const subject = { token: verified.token, delegation, params: late.params, now, consumed }
      refusal = expired ?? (await checks.checkRule(rule, subject))
    } catch (error) {
      refusal = new Refusal('internal_error', { reason: describeError(error) })
    }
    if (refusal === undefined) return Object.freeze({ outcome: 'allow', grant, headers: noHeaders })
    const told = this.#knownScopes.addTo(refusal, late.method, grant.route, routeRule?.scope)
    const decision = this.#refuse(stage, told, mode, grant.route)
    this.#reporter.decided(decision, late.method, { ...authorized, refusal }, watch, 'allow')
    return decision
  }

  /** Where the request has no grant, no rule holds that is enforced. */
  #refuseWithoutGrant(decision: Decision, { data, method }: LateRule): Decision | undefined {
    if (decision.outcome === 'deny') return decision
    if (decision.outcome === 'anonymous' && this.#isLetThrough(decision, data.anonymous)) return undefined
    // What was let through to be observed goes on, unless this very rule is to be enforced.
    const mode = data.mode ?? (decision.outcome === 'observe' ? 'observe' : undefined)
    if (mode === 'observe') return undefined
    const cause = { reason: 'the rule needs a grant, and the request has none' }
    const missing = new Refusal('credentials_missing', cause, { scope: this.#toRule(data).scope })
    return this.overrule(decision, 'request', missing, method, mode)
  }

  #isLetThrough(decision: Decision, anonymous: RuleData['anonymous']): boolean {
    return anonymous === 'foreign' || (anonymous === true && !this.#foreign.has(decision))
  }

  #toRule(data: RuleData): Rule {
    const rule = this.#lateRules.get(data) ?? compileLateRule(data, this.compiled.ruleContext)
    this.#lateRules.set(data, rule)
    return rule
  }

  #toDecision(outcome: Outcome, method: string): Decision {
    const { access } = outcome
    const route = access?.route
    if (outcome.outcome === 'refuse') {
      const refusal = this.#knownScopes.addTo(outcome.refusal, method, route)
      return this.#refuse(outcome.stage, refusal, this.#modeOf(access), route)
    }
    if (outcome.outcome !== 'allow') {
      const decision = Object.freeze({ outcome: outcome.outcome, ...(route === undefined ? {} : { route }) })
      if (outcome.outcome === 'anonymous' && outcome.hasForeignCredentials) this.#foreign.add(decision)
      return decision
    }
    return Object.freeze({ outcome: 'allow', grant: outcome.grant, headers: this.#nonceHeaders() })
  }

  /** Where the route is unknown, the request is let through only if no route is enforced. */
  #modeOf(access: Access | undefined): Rule['mode'] {
    if (access === undefined) return this.compiled.isObservedThroughout ? undefined : 'enforce'
    return typeof access.kind === 'object' ? access.kind.mode : access.mode
  }

  #refuse(stage: Stage, refusal: Refusal, mode: Rule['mode'], route?: string): Decision {
    const denial: Denial = toDenial(refusal, stage, this.compiled.challenge, route, this.#nonceHeaders())
    if ((mode ?? this.compiled.mode) === 'enforce') return denial
    return Object.freeze({ ...denial, outcome: 'observe' })
  }

  /** Every answer carries a nonce for the next proof (RFC 9449 section 8.2), and no cache may keep it. */
  #nonceHeaders(): Readonly<Record<string, string>> {
    if (this.#nonces === undefined) return noHeaders
    try {
      const nonce = this.#nonces.current(this.#seconds())
      return Object.freeze({ 'dpop-nonce': nonce, 'cache-control': 'no-store' })
    } catch {
      // A denial for want of a clock is sent without a nonce.
      return noHeaders
    }
  }

  /** Seconds since the epoch. With a clock that gives no number, every time limit would count as kept. */
  #seconds(): number {
    const time = this.#now() / 1000
    if (!Number.isFinite(time)) throw new Error('the clock (option now) gives no number')
    if (this.#isClosed) throw new Error('the verifier is closed')
    return time
  }

  #isBusy(): boolean {
    if (this.#signatureThread !== undefined) return this.#signatureThread === 'pool'
    return this.#pending > 1 || isTickCrowded()
  }
}

function toAuthorized(
  { grant, access, verified, delegation }: Extract<Outcome, { outcome: 'allow' }>,
  consumed: Consumed[],
): AuthorizedRequest {
  return { grant, access, verified, delegation, consumed }
}
