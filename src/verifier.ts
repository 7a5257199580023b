import { compilePolicy } from './compile/compile-policy.js'
import { readLateRule } from './compile/late-rule.js'
import type { Decision, Denial } from './decision.js'
import { Engine } from './engine.js'
import { sharedByCopies } from './lib/copies.js'
import { snapshot } from './lib/plain-data.js'
import { checkOptions, type VerifierOptions } from './options.js'
import type { Policy, RouteRule } from './policy/policy.js'
import { textsOf } from './request/params.js'
import type { VerifyRequest } from './request/request.js'
import { AjwtDenial } from './response/ajwt-denial.js'
import { type ResourceMetadata, toMetadata } from './response/resource-metadata.js'
import { warnOfInsecureHttp } from './telemetry/insecure-http-warning.js'
import { warnOfObserving } from './telemetry/observe-warning.js'
import { type Readiness, readinessOf, refreshAll } from './token/trusted-issuers.js'

/** Decides requests by one policy. */
export interface Verifier {
  /** Never rejects: a request that cannot be decided is refused. A Fetch `Request` can be given as it is. */
  verify(request: VerifyRequest): Promise<Decision>
  /** The response to a refused request; undefined where the decision lets the request go on. */
  respond(decision: Denial): Response
  respond(decision: Decision): Response | undefined
  /** A deeply frozen copy of the policy. */
  readonly policy: Policy
  /** The metadata of this protected resource (RFC 9728). */
  metadata(): ResourceMetadata
  /** Whether the keys of each issuer are at hand, and why not. Fetches them first where there are none. Never rejects. */
  ready(): Promise<Readiness>
  /** Fetches the keys of every issuer now; resolves to whether all fetches succeeded. */
  refreshKeys(): Promise<boolean>
  /**
   * Applies one more rule to a request that this verifier has decided on: the denial, or undefined where the rule holds.
   * A token that has expired meanwhile is refused; revocations are not asked for again. `params` are the values that
   * `param` in a claim constraint refers to, by default those of the route. Rejects with a PolicyError where the rule is
   * wrong, and with a TypeError where the decision is not one of this verifier's own.
   */
  check(decision: Decision, rule: RouteRule, params?: object): Promise<AjwtDenial | undefined>
  /** Ends the verifier: key fetches are aborted, and later requests are refused with 503. */
  close(): void
}

const engines = sharedByCopies('verifiers', () => new WeakMap<object, Engine>())

/** The engine behind a verifier; undefined for anything that `createVerifier` did not make. */
export function engineOf(verifier: object): Engine | undefined {
  return engines.get(verifier)
}

/**
 * Makes a verifier. Throws a PolicyError that names every wrong place of the policy or of the options. Nothing is
 * fetched before the first request that needs it, or `ready()`.
 */
export function createVerifier(policy: Policy, options: VerifierOptions = {}): Verifier {
  checkOptions(options)
  const engine = new Engine(compilePolicy(policy, options.resolveIssuer !== undefined), options)
  const ownPolicy = snapshot(policy)
  const verifier: Verifier = Object.freeze({
    verify: (request: VerifyRequest) => engine.decideRequest(request, []),
    respond: respond as Verifier['respond'],
    policy: ownPolicy,
    metadata: () => toMetadata(engine.compiled),
    ready: () => readinessOf(engine.issuers),
    refreshKeys: () => refreshAll(engine.issuers),
    async check(decision: Decision, rule: RouteRule, params?: object) {
      const known = engine.requestOf(decision)
      if (known === undefined) {
        throw new TypeError(
          'check takes a decision of this verifier: the very object that its verify() has resolved to, not a copy',
        )
      }
      const data = readLateRule(rule)
      const { method, authorized } = known
      const own = params === undefined ? (authorized?.access.params ?? {}) : textsOf(params)
      const late = { data, params: own, method, isLasting: false }
      const result = await engine.applyRule(decision, authorized, late)
      return result?.outcome === 'deny' ? new AjwtDenial(result) : undefined
    },
    close: () => engine.close(),
  })
  engines.set(verifier, engine)
  warnOfObserving(ownPolicy)
  warnOfInsecureHttp(ownPolicy)
  return verifier
}

function respond(decision: Decision): Response | undefined {
  if (decision.outcome !== 'deny') return undefined
  const { status, headers, body } = decision
  return new Response(JSON.stringify(body), { status, headers })
}
