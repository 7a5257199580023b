import { compilePolicy } from './compile/compile-policy.js'
import { parseHandlerRule } from './compile/handler-rule.js'
import type { Decision, Denial } from './decision.js'
import { Engine, type EngineOptions } from './engine.js'
import type { Explanation } from './explain/explanation.js'
import { sharedInProcess } from './lib/copies.js'
import { isObject } from './lib/objects.js'
import { snapshot } from './lib/plain-data.js'
import { checkOptions, type VerifierOptions } from './options.js'
import { PolicyError, toIssue } from './policy/error.js'
import type { LimitedRule, Policy } from './policy/policy.js'
import type { VerifyRequest } from './request/request.js'
import { stringMembers } from './request/string-members.js'
import { AjwtDenial } from './response/ajwt-denial.js'
import { type ResourceMetadata, toMetadata } from './response/resource-metadata.js'
import { limitStoreFor } from './stores/limits.js'
import { memoryReplayStore } from './stores/memory/replay.js'
import { sharedReplayStore } from './stores/memory/shared-replay.js'
import { warnAboutInsecureHttp } from './telemetry/insecure-http-warning.js'
import { warnAboutObserveMode } from './telemetry/observe-warning.js'
import { getReadiness, type Readiness, refreshAllKeys } from './token/trusted-issuers.js'

/** Decides which requests one policy allows. */
export interface Verifier {
  /** Never rejects: an undecidable request is denied. Accepts a Fetch `Request` too. */
  verify(request: VerifyRequest): Promise<Decision>
  /**
   * Explains why a request is allowed or denied: every check of every stage, with the expected value and the
   * found one. Consumes nothing, so replay and `once` are `not_checked`. Does not call `onDecision` or
   * telemetry. May fetch keys, and checks revocation. Never rejects.
   */
  explain(request: VerifyRequest): Promise<Explanation>
  /** The response to a denied request. Undefined for every other decision. */
  respond(decision: Denial): Response
  respond(decision: Decision): Response | undefined
  /** A deeply frozen copy of the policy. */
  readonly policy: Policy
  /**
   * Replaces the policy. Throws a `PolicyError` and keeps the old one if the new one is wrong. Requests that
   * have begun keep the old one. Keys of issuers whose entries stay, replay memory, limits and nonces are
   * kept.
   */
  update(policy: Policy): void
  /** The metadata of this protected resource (RFC 9728). */
  metadata(): ResourceMetadata
  /** Reports which issuers have keys, and why others have none. Fetches missing keys first. Never rejects. */
  ready(): Promise<Readiness>
  /** Fetches the keys of every issuer now. Resolves to `true` if all fetches succeeded. */
  refreshKeys(): Promise<boolean>
  /**
   * Applies one more rule to a request that this verifier has decided. Resolves to the denial, or to
   * undefined if the rule is met. Checks again that the token has not expired, but not that it is not
   * revoked. `params` are the values for `param` in a claim constraint. Default: the route's. Rejects with a
   * `PolicyError` if the rule is invalid, and with a `TypeError` if another verifier made the decision.
   */
  check(decision: Decision, rule: LimitedRule, params?: object): Promise<AjwtDenial | undefined>
  /** Aborts key fetches. Later requests are denied with 503. */
  close(): void
}

const engines = sharedInProcess('verifiers', () => new WeakMap<object, Engine>())

/** The engine of a verifier. Throws for an object that `createVerifier` did not make. */
export function engineOf(verifier: Verifier): Engine {
  const engine = engines.get(verifier)
  if (engine === undefined) throw new TypeError('the verifier was not made by createVerifier(policy)')
  return engine
}

export function isVerifier(value: object): value is Verifier {
  return engines.has(value)
}

const closeListeners = sharedInProcess('close listeners', () => new WeakMap<Verifier, Set<() => void>>())

/** Calls the listener when the verifier is closed. */
export function onClose(verifier: Verifier, listener: () => void): void {
  const listeners = closeListeners.get(verifier) ?? new Set()
  closeListeners.set(verifier, listeners.add(listener))
}

/**
 * Makes a verifier. Throws a `PolicyError` that lists every mistake in the policy or the options. Fetches
 * nothing before the first request that needs keys, or `ready()`.
 */
export function createVerifier(policy: Policy, options: VerifierOptions = {}): Verifier {
  checkOptions(options)
  const fixed = withStores(options)
  const hasResolver = options.resolveIssuer !== undefined
  const compile = (next: Policy) => {
    const compiled = compilePolicy(next, hasResolver)
    checkAuthorizeRules(next, options)
    return compiled
  }
  let engine = new Engine(compile(policy), fixed)
  let ownPolicy = snapshot(policy)
  const verifier: Verifier = Object.freeze({
    verify: (request: VerifyRequest) => engine.decideRequest(request, []),
    explain: (request: VerifyRequest) => engine.explainRequest(request),
    respond,
    get policy() {
      return ownPolicy
    },
    update(next: Policy) {
      const copy = snapshot(next)
      const { reporter } = engine.lasting
      try {
        engine = new Engine(compile(next), fixed, engine)
      } catch (error) {
        reporter.reportPolicyUpdate('failure')
        throw error
      }
      reporter.reportPolicyUpdate('success')
      ownPolicy = copy
      engines.set(verifier, engine)
      warnAboutObserveMode(copy)
      warnAboutInsecureHttp(copy)
    },
    metadata: () => toMetadata(engine.compiled),
    ready: () => getReadiness(engine.issuers),
    refreshKeys: () => refreshAllKeys(engine.issuers),
    async check(decision: Decision, rule: LimitedRule, params?: object) {
      const known = engine.requestOf(decision)
      if (known === undefined) {
        throw new TypeError(
          'check: another verifier made this decision. Pass the object that verify() returned, not a copy',
        )
      }
      const data = parseHandlerRule(rule)
      refuseContentRules(data)
      const { method, authorized, engine: decidedBy } = known
      const paramTexts = params === undefined ? (authorized?.access.params ?? {}) : stringMembers(params)
      const result = await decidedBy.applyRule(decision, authorized, {
        data,
        params: paramTexts,
        method,
        isPermanent: false,
        isOncePerRequest: false,
        request: undefined,
      })
      return result?.outcome === 'deny' ? new AjwtDenial(result) : undefined
    },
    close() {
      for (const listener of closeListeners.get(verifier) ?? []) listener()
      engine.close()
    },
  })
  engines.set(verifier, engine)
  warnAboutObserveMode(ownPolicy)
  warnAboutInsecureHttp(ownPolicy)
  return verifier
}

/** The default stores, made once: an update of the policy must not forget what was used. */
function withStores(options: VerifierOptions): EngineOptions {
  const { now } = options
  const replayStore = options.replayStore ?? (now ? memoryReplayStore({ now }) : sharedReplayStore())
  return { ...options, replayStore, limitStore: limitStoreFor(options) }
}

/** A rule that relies on the hook would allow every request without it. */
function checkAuthorizeRules({ routes }: Policy, { authorize }: VerifierOptions): void {
  if (authorize !== undefined || !isObject(routes)) return
  const issues = Object.entries(routes).flatMap(([key, rule]) =>
    isObject(rule) && rule.authorize === true
      ? [
          toIssue(
            ['routes', key, 'authorize'],
            'is true, and the option authorize is missing: pass it, or remove the key',
          ),
        ]
      : [],
  )
  if (issues.length > 0) throw new PolicyError(issues)
}

/** A decision has no content to compare: such a rule would refuse every request. */
function refuseContentRules(rule: object): void {
  const issues = ['query', 'digest', 'body']
    .filter((key) => Object.hasOwn(rule, key))
    .map((path) => ({ path, message: 'needs the request: use checkIntent of the adapter' }))
  if (issues.length > 0) throw new PolicyError(issues)
}

function respond(decision: Denial): Response
function respond(decision: Decision): Response | undefined
function respond(decision: Decision): Response | undefined {
  if (decision.outcome !== 'deny') return undefined
  const { status, headers, body } = decision
  return new Response(JSON.stringify(body), { status, headers })
}
