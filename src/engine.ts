import { isTickCrowded } from '#runtime'
import { createSignatureCheck } from '#signature'
import type { CompiledPolicy } from './compile/compile-policy.js'
import { compileHandlerRule } from './compile/handler-rule.js'
import type { Decision, Denial, Stage } from './decision.js'
import { createDelegationVerifier } from './delegation/verify-chain.js'
import { createNonces, type Nonces } from './dpop/nonce.js'
import { createProofVerifier } from './dpop/proof.js'
import { createSenderConstraintCheck } from './dpop/sender-constraint.js'
import { createRecorder, type Explanation } from './explain/explanation.js'
import {
  type AppliedRule,
  type AuthorizedRequest,
  modeBehind,
  requestSlotName,
  toAuthorized,
  toHandlerInput,
} from './grant.js'
import { type CacheOptions, withDefaults } from './lib/cache.js'
import { sharedInProcess } from './lib/copies.js'
import { createPrivateSlot } from './lib/private-slot.js'
import type { VerifierOptions } from './options.js'
import {
  type Checks,
  decide,
  emptyState,
  type FailedStage,
  type Outcome,
  type Pipeline,
  recheck,
} from './pipeline.js'
import { type CheckObserver, describeError, Refusal } from './refusal.js'
import { readRequest, type VerifyRequest } from './request/request.js'
import { createKnownScopes } from './response/known-scopes.js'
import { rateLimitFieldsOf } from './response/rate-limit.js'
import { toDenial } from './response/www-authenticate.js'
import { type Access, matchRequest } from './routing/match.js'
import { createAuthorizer } from './rules/authorize.js'
import type { Rule } from './rules/rule.js'
import { createRuleCheck, type RuleCheckOptions, usesNothingUp } from './rules/rule-check.js'
import type { RuleTrace } from './rules/rule-input.js'
import { createLimiter } from './stores/limits.js'
import { type Consumed, createConsumeOnce } from './stores/replay.js'
import { createReporter, type Reporter } from './telemetry/reporter.js'
import { createRevocationCheck } from './token/revocation.js'
import { checkTokenTime } from './token/token-time.js'
import { createIssuers, type Issuers } from './token/trusted-issuers.js'
import { createTokenVerifier } from './token/verify-token.js'

/** The request of a decision, kept for later rules. */
export interface DecidedRequest {
  readonly decision: Decision
  readonly method: string
  /** A request keeps the policy that it began with. */
  readonly engine: Engine
  /** Undefined if the request was not allowed with a grant. */
  readonly authorized: AuthorizedRequest | undefined
}

const noCaches = { tokens: 0, proofKeys: 0, assertions: 0 }
const noHeaders: Readonly<Record<string, string>> = Object.freeze({})

/** Requests that were allowed with a grant. */
const requestsOfGrants = sharedInProcess(requestSlotName, () => createPrivateSlot<DecidedRequest>())
/** All other requests. */
const otherRequests = sharedInProcess('decided requests', () => new WeakMap<Decision, DecidedRequest>())

/** The request of a decision of any verifier. Undefined for a copy of a decision. */
export function requestOf(decision: Decision): DecidedRequest | undefined {
  const { outcome } = decision
  const known = outcome === 'allow' ? requestWithGrant(decision.grant) : otherRequests.get(decision)
  return known?.decision === decision ? known : undefined
}

/** The request that was allowed with this grant. Undefined for a copy of a grant. */
export const requestWithGrant = (grant: object) => requestsOfGrants.get(grant)

/** The options, with the stores that the verifier has made. */
export type EngineOptions = VerifierOptions & Required<Pick<VerifierOptions, 'replayStore' | 'limitStore'>>

/** The state that an update of the policy keeps. */
interface Lasting {
  readonly reporter: Reporter
  readonly nonces: Nonces
  isClosed: boolean
}

/** The state behind one policy, shared with the adapters. No method rejects because of a request. */
export class Engine {
  readonly compiled: CompiledPolicy
  readonly issuers: Issuers
  readonly #pipeline: Pipeline
  /** Makes the pipeline of `explain`: the same checks, with no memory and no store to write to. */
  readonly #toExplain: () => Pipeline
  readonly #reporter: Reporter
  readonly #nonces: Nonces | undefined
  readonly #now: () => number
  readonly #knownScopes = createKnownScopes()
  readonly #handlerRules = new WeakMap<object, Rule>()
  readonly lasting: Lasting
  readonly revocations: EngineOptions['revocations']
  /** Anonymous decisions on requests that had another party's credentials. */
  readonly #withForeignCredentials = new WeakSet<Decision>()
  #pending = 0
  #signatureThread: 'loop' | 'pool' | undefined

  /** `previous` is the engine of the policy before. */
  constructor(compiled: CompiledPolicy, options: EngineOptions, previous?: Engine) {
    const { replayStore, limitStore, nonceSecret } = options
    this.compiled = compiled
    this.#now = options.now ?? Date.now
    this.revocations = options.revocations
    this.lasting = previous?.lasting ?? {
      reporter: createReporter(options, replayStore),
      nonces: createNonces(nonceSecret),
      isClosed: false,
    }
    this.#reporter = this.lasting.reporter
    this.issuers = createIssuers(compiled, options, this.#reporter.reportRefresh, previous?.issuers)
    this.#nonces = compiled.proof.nonce === 'required' ? this.lasting.nonces : undefined
    const isSignedBy = createSignatureCheck(() => this.#isBusy())
    const makePipeline = (cache: Required<CacheOptions>, uses: RuleCheckOptions): Pipeline => {
      const { consumeOnce } = uses
      const verifyProof = createProofVerifier(compiled, cache.proofKeys, isSignedBy)
      const checks: Checks = {
        tokens: createTokenVerifier(compiled, this.issuers, cache.tokens, isSignedBy),
        checkRevocation: createRevocationCheck(options.revocations),
        checkSenderConstraint: createSenderConstraintCheck(compiled, verifyProof, this.#nonces, consumeOnce),
        verifyDelegation: createDelegationVerifier(compiled, cache.assertions, isSignedBy),
        checkRule: createRuleCheck(uses),
      }
      return { checks, clock: () => this.#seconds(), mode: compiled.mode }
    }
    this.#pipeline = makePipeline(withDefaults(options.cache), {
      consumeOnce: createConsumeOnce(replayStore),
      limiter: createLimiter(limitStore),
      authorizer: options.authorize && createAuthorizer(options.authorize, options.authorizeTimeout),
    })
    this.#toExplain = () => makePipeline(noCaches, usesNothingUp(options.authorize !== undefined))
  }

  /** Decides one request. Calls `onAllow` if the request is allowed with a grant. */
  async decideRequest(
    request: VerifyRequest,
    consumed: Consumed[],
    onAllow?: (authorized: AuthorizedRequest) => void,
  ): Promise<Decision> {
    const start = this.#reporter.start()
    const { method, routedMethod, outcome } = await this.#run(request, consumed, this.#pipeline)
    const decision = this.#toDecision(outcome, routedMethod, consumed)
    const authorized = outcome.outcome === 'allow' ? toAuthorized(outcome, consumed) : undefined
    const decided = { decision, method, authorized, engine: this }
    if (authorized === undefined) otherRequests.set(decision, decided)
    else requestsOfGrants.set(authorized.grant, decided)
    if (authorized !== undefined) onAllow?.(authorized)
    this.#reporter.reportDecision(decision, method, outcome, start)
    return decision
  }

  /** Decides one request again, without caches, and uses up and reports nothing. */
  async explainRequest(request: VerifyRequest): Promise<Explanation> {
    const recorder = createRecorder()
    const { outcome, routedMethod } = await this.#run(request, [], this.#toExplain(), recorder)
    const stage = outcome.outcome === 'refuse' ? outcome.stage : undefined
    const kind = outcome.access?.kind
    return recorder.toExplanation(this.#toDecision(outcome, routedMethod, []), {
      stage: outcome.outcome === 'allow' ? undefined : (stage ?? 'request'),
      refusal: outcome.refusal,
      conditions: typeof kind === 'object' ? kind.conditions : [],
    })
  }

  /** The request of a decision. Undefined if another verifier made the decision. */
  requestOf(decision: Decision): DecidedRequest | undefined {
    const known = requestOf(decision)
    return known?.engine.lasting === this.lasting ? known : undefined
  }

  /** Applies one more rule to a decided request. Undefined if a request without a grant may continue. */
  async applyRule(
    decision: Decision,
    authorized: AuthorizedRequest | undefined,
    rule: AppliedRule,
  ): Promise<Decision | undefined> {
    return authorized === undefined
      ? this.#refuseWithoutGrant(decision, rule)
      : this.#applyToGrant(authorized, rule)
  }

  /** Refuses a request that an earlier decision let through, or that has none, and reports the refusal. */
  overrule(
    overruled: Decision | undefined,
    stage: Stage,
    refusal: Refusal,
    method: string,
    mode?: Rule['mode'],
  ): Decision {
    const start = this.#reporter.start()
    const authorized = overruled && requestOf(overruled)?.authorized
    const access = authorized?.access
    const decision = this.#refuse(stage, refusal, mode ?? (access && modeBehind(access)), access?.route)
    const state = { ...emptyState, ...authorized, refusal }
    this.#reporter.reportDecision(decision, method, state, start, overruled?.outcome)
    return decision
  }

  /**
   * Verifies the token of an allowed request again, for a connection that stays open. Resolves to the seconds
   * until the token expires, or to the denial, which is reported.
   */
  async recheck(decision: Decision): Promise<Decision | number> {
    const known = this.requestOf(decision)
    if (known?.authorized === undefined) return Number.POSITIVE_INFINITY
    const { authorized, method } = known
    const start = this.#reporter.start()
    let failed: FailedStage
    try {
      const result = await recheck(authorized, this.#pipeline)
      if (typeof result === 'number') return result
      failed = result
    } catch (error) {
      failed = { stage: 'token', refusal: new Refusal('internal_error', { reason: describeError(error) }) }
    }
    const { stage, refusal } = failed
    const { access } = authorized
    const denial = this.#refuse(stage, refusal, this.#modeOf(access), access.route)
    this.#reporter.reportDecision(denial, method, { ...authorized, refusal }, start, 'allow')
    return denial
  }

  /** For benchmarks: verifies all signatures on the event loop, or all in the thread pool. */
  setSignatureThread(thread: 'loop' | 'pool'): void {
    this.#signatureThread = thread
  }

  close(): void {
    this.lasting.isClosed = true
    this.issuers.close()
    this.#reporter.close()
  }

  async #run(
    request: VerifyRequest,
    consumed: Consumed[],
    pipeline: Pipeline,
    observer?: CheckObserver,
  ): Promise<{ method: string; routedMethod: string; outcome: Outcome }> {
    let method = ''
    let routedMethod = ''
    let access: Access | undefined
    this.#pending += 1
    try {
      observer?.begin('shape', 'method, URL and fields as a framework has them')
      const facts = readRequest(request, consumed, this.compiled.tokenFields)
      method = facts.method
      routedMethod = facts.routing?.method ?? method
      access = matchRequest(this.compiled, facts)
      return { method, routedMethod, outcome: await decide(facts, access, pipeline, observer) }
    } catch (error) {
      const refusal = new Refusal('internal_error', { reason: describeError(error) })
      const outcome = { ...emptyState, access, outcome: 'refuse', stage: 'request', refusal } as const
      return { method, routedMethod, outcome }
    } finally {
      this.#pending -= 1
    }
  }

  /** Whether the conditions of a rule hold for a grant. Asks no hook, and counts and reports nothing. */
  meets({ access, ...authorized }: AuthorizedRequest, applied: AppliedRule): boolean {
    const rule = this.compile(applied)
    if (this.#isObserved(rule, access)) return true
    const now = this.#seconds()
    if (checkTokenTime(authorized.verified.token, now) !== undefined) return false
    return rule.check(toHandlerInput({ access, ...authorized }, applied, now, false)) === undefined
  }

  async #applyToGrant(authorized: AuthorizedRequest, applied: AppliedRule): Promise<Decision> {
    const { grant, access, verified, consumed } = authorized
    const { method, target } = applied
    const start = this.#reporter.start()
    const rule = this.compile(applied)
    const mode = rule.mode ?? modeBehind(access)
    const isObserved = this.#isObserved(rule, access)
    if (applied.isPermanent && !isObserved) this.#knownScopes.record(method, grant.route, rule.scope)
    let stage: Stage = 'rule'
    let refusal: Refusal | undefined
    let trace: RuleTrace | undefined
    try {
      const { checks, clock } = this.#pipeline
      const now = clock()
      // A WebSocket message may arrive long after the request that opened the socket.
      const expired = checkTokenTime(verified.token, now)
      if (expired !== undefined) stage = 'token'
      const input = toHandlerInput(authorized, applied, now, isObserved)
      trace = input.trace
      refusal = expired ?? (await checks.checkRule(rule, input))
      // The hook `authorize` and the stores of limits may have taken their time.
      const late = refusal === undefined ? checkTokenTime(verified.token, clock()) : undefined
      if (late !== undefined) [stage, refusal] = ['token', late]
    } catch (error) {
      refusal = new Refusal('internal_error', { reason: describeError(error) })
    }
    if (refusal === undefined)
      return Object.freeze({ outcome: 'allow', grant, headers: rateLimitFieldsOf(rule, consumed) })
    const routeScope = typeof access.kind === 'object' ? access.kind.scope : undefined
    const scope = [routeScope, ...(applied.scopesBeside ?? [])].filter((name) => name !== undefined)
    const withScopes = this.#knownScopes.addTo(refusal, method, grant.route, scope.join(' ') || undefined)
    const decision = this.#refuse(stage, withScopes, mode, grant.route)
    this.#reporter.reportDecision(decision, method, { ...authorized, refusal, trace, target }, start, 'allow')
    return decision
  }

  #isObserved(rule: Rule, access: Access): boolean {
    return (rule.mode ?? modeBehind(access) ?? this.compiled.mode) === 'observe'
  }

  /** A request without a grant meets no enforced rule, unless the rule accepts anonymous requests. */
  #refuseWithoutGrant(decision: Decision, applied: AppliedRule): Decision | undefined {
    if (decision.outcome === 'deny') return decision
    if (decision.outcome === 'anonymous' && this.#isAnonymousAllowed(decision, applied.data.anonymous))
      return undefined
    // A request that is only observed continues, unless this rule has mode "enforce".
    const mode = applied.data.mode ?? (decision.outcome === 'observe' ? 'observe' : undefined)
    if (mode === 'observe') return undefined
    const cause = { reason: 'the rule needs a grant, and the request has none' }
    const missing = new Refusal('credentials_missing', cause, { scope: this.compile(applied).scope })
    return this.overrule(decision, 'request', missing, applied.method, mode)
  }

  #isAnonymousAllowed(decision: Decision, anonymous: AppliedRule['data']['anonymous']): boolean {
    return anonymous === 'foreign' || (anonymous === true && !this.#withForeignCredentials.has(decision))
  }

  /** The compiled rule of a handler. Compiled once. */
  compile({ data, place }: Pick<AppliedRule, 'data' | 'place'>): Rule {
    const rule = this.#handlerRules.get(data) ?? compileHandlerRule(data, this.compiled.ruleContext, place)
    this.#handlerRules.set(data, rule)
    return rule
  }

  #toDecision(outcome: Outcome, method: string, consumed: Consumed[]): Decision {
    const { access } = outcome
    const route = access?.route
    if (outcome.outcome === 'refuse') {
      const refusal = this.#knownScopes.addTo(outcome.refusal, method, route)
      return this.#refuse(outcome.stage, refusal, this.#modeOf(access), route)
    }
    if (outcome.outcome !== 'allow') {
      const decision = Object.freeze({ outcome: outcome.outcome, ...(route === undefined ? {} : { route }) })
      const isForeign = outcome.outcome === 'anonymous' && outcome.hasForeignCredentials
      if (isForeign) this.#withForeignCredentials.add(decision)
      return decision
    }
    const headers = this.#nonceHeaders()
    const { kind } = outcome.access
    const isLimited = typeof kind === 'object' && kind.limits.length > 0
    return Object.freeze({
      outcome: 'allow',
      grant: outcome.grant,
      headers: isLimited ? Object.freeze({ ...headers, ...rateLimitFieldsOf(kind, consumed) }) : headers,
    })
  }

  /** If reading the request failed, its route is unknown: observed only if the policy enforces no route. */
  #modeOf(access: Access | undefined): Rule['mode'] {
    if (access === undefined) return this.compiled.areAllRoutesObserved ? undefined : 'enforce'
    return typeof access.kind === 'object' ? access.kind.mode : access.mode
  }

  #refuse(stage: Stage, refusal: Refusal, mode: Rule['mode'], route?: string): Decision {
    const denial: Denial = toDenial(refusal, stage, this.compiled.challenge, route, this.#nonceHeaders())
    if ((mode ?? this.compiled.mode) === 'enforce') return denial
    return Object.freeze({ ...denial, outcome: 'observe' })
  }

  /** Every response carries a nonce for the next proof (RFC 9449 section 8.2) and must not be cached. */
  #nonceHeaders(): Readonly<Record<string, string>> {
    if (this.#nonces === undefined) return noHeaders
    try {
      const nonce = this.#nonces.current(this.#seconds())
      return Object.freeze({ 'dpop-nonce': nonce, 'cache-control': 'no-store' })
    } catch {
      // Without a working clock there is no nonce. The denial is still sent.
      return noHeaders
    }
  }

  /** Seconds since the epoch. Throws for NaN, because NaN would pass every time check. */
  #seconds(): number {
    const time = this.#now() / 1000
    if (!Number.isFinite(time)) throw new Error('the option now must return a finite number of milliseconds')
    if (this.lasting.isClosed) throw new Error('the verifier is closed')
    return time
  }

  #isBusy(): boolean {
    if (this.#signatureThread !== undefined) return this.#signatureThread === 'pool'
    return this.#pending > 1 || isTickCrowded()
  }
}
