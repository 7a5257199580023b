import { type Refusal, toDenial } from './challenge.js'
import { type Checks, decide, type Findings, nothing, type Verdict } from './decide.js'
import type { Decision, Denial, Grant } from './decision.js'
import type { Delegation } from './delegation/delegation.js'
import { createDelegationVerifier } from './delegation/verify-delegation.js'
import { compileRule, type Rule } from './intent/rule.js'
import { createRuleCheck } from './intent/rule-check.js'
import { createIssuerKeys, everyIssuer } from './keys/issuers.js'
import { type ResourceMetadata, toMetadata } from './metadata.js'
import { checkOptions, type VerifierOptions } from './options.js'
import { type CompiledPolicy, compilePolicy } from './policy/compile.js'
import type { Access } from './policy/match-request.js'
import type { Policy } from './policy/policy.js'
import type { RuleData } from './policy/schema.js'
import { snapshot } from './policy/snapshot.js'
import { createNonces } from './proof/nonce.js'
import { createPossessionCheck } from './proof/possession.js'
import { createUseOnce } from './replay.js'
import { readRequest, type VerifyRequest } from './request.js'
import { createRevocationCheck } from './revocation.js'
import { memoryReplayStore } from './stores/memory-replay.js'
import { memoryRevocations } from './stores/memory-revocations.js'
import { createReporter } from './telemetry.js'
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
  /** Whether every issuer's keys are at hand, fetched first where they are not. */
  ready(): Promise<boolean>
  /** Fetches the keys of every issuer now; whether all of them could be had. */
  refreshKeys(): Promise<boolean>
  /** Ends it: fetches under way are broken off, and whatever comes later is refused with 503. */
  close(): void
}

/** Who was let in with a grant, for rules that come later on the way. */
interface Heard {
  readonly access: Access
  readonly verified: VerifiedToken
  readonly delegation: Delegation
  /** Whether this request has used its token up already, as far as rules with `once` go. */
  isUsedUp: boolean
}

/** What the adapters need of a verifier, beyond what its users do. */
export interface VerifierInternals {
  readonly compiled: CompiledPolicy
  /** Applies one more rule to a request that this verifier has let in. */
  applyRule(grant: Grant, rule: RuleData, params: Grant['params'], method: string): Promise<Decision>
  /** A refusal that no check of `verify` came to. */
  refuse(refusal: Refusal, method: string, mode?: Rule['mode']): Decision
}

const internals = new WeakMap<object, VerifierInternals>()

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
  const reporter = createReporter(options)
  const issuerKeys = createIssuerKeys(compiled, options, reporter.refreshed)
  const nonces = compiled.proof.nonce === 'required' ? createNonces(options.nonceSecret) : undefined
  const useOnce = createUseOnce(options.replayStore ?? memoryReplayStore({ now }))
  const checks: Checks = {
    verifyToken: createTokenVerifier(compiled, issuerKeys),
    checkRevocation: createRevocationCheck(options.revocations ?? memoryRevocations({ now })),
    checkPossession: createPossessionCheck(compiled, nonces, useOnce),
    verifyDelegation: createDelegationVerifier(compiled),
    checkRule: createRuleCheck(compiled.token.clockTolerance, useOnce),
  }
  const heard = new WeakMap<Grant, Heard>()
  const extraRules = new WeakMap<RuleData, Rule>()
  let isClosed = false

  /** Seconds since the epoch. A clock that gives no number would hold every limit to be kept: it ends here. */
  function seconds(): number {
    const time = now() / 1000
    if (!Number.isFinite(time) || isClosed)
      throw new Error('the clock gives no time, or the verifier is closed')
    return time
  }

  async function verify(request: VerifyRequest): Promise<Decision> {
    const watch = reporter.start()
    let method = ''
    let verdict: Verdict
    try {
      const facts = readRequest(request)
      method = facts.method
      verdict = await decide(facts, seconds, compiled, checks)
    } catch {
      const refusal: Refusal = { code: 'internal_error', stage: 'request', details: undefined }
      verdict = { ...nothing, outcome: 'refuse', refusal }
    }
    const decision = toDecision(verdict)
    reporter.decided(decision, method, verdict, watch)
    return decision
  }

  function toDecision(verdict: Verdict): Decision {
    const { access } = verdict
    const route = access?.route
    if (verdict.outcome === 'refuse') {
      const mode = access === undefined || typeof access.kind === 'string' ? undefined : access.kind.mode
      return refuse(verdict.refusal, mode, route)
    }
    if (verdict.outcome !== 'allow') {
      return Object.freeze({ outcome: verdict.outcome, ...(route === undefined ? {} : { route }) })
    }
    const { grant, verified, delegation } = verdict
    if (access !== undefined && verified !== undefined && delegation !== undefined) {
      const isUsedUp = typeof access.kind !== 'string' && access.kind.once
      heard.set(grant, { access, verified, delegation, isUsedUp })
    }
    return Object.freeze({ outcome: 'allow', grant, headers: nonceHeaders() })
  }

  function refuse(refusal: Refusal, mode: Rule['mode'], route?: string): Decision {
    const denial: Denial = toDenial(refusal, compiled.challenge, route, nonceHeaders())
    if ((mode ?? compiled.mode) === 'enforce') return denial
    return Object.freeze({ ...denial, outcome: 'observe' })
  }

  /** A nonce goes with every answer, so that the next proof has it (RFC 9449 section 8.2), and in no cache. */
  function nonceHeaders(): Readonly<Record<string, string>> {
    if (nonces === undefined) return {}
    try {
      return { 'dpop-nonce': nonces.current(seconds()), 'cache-control': 'no-store' }
    } catch {
      // A refusal for want of a clock is sent without one.
      return {}
    }
  }

  async function applyRule(
    grant: Grant,
    data: RuleData,
    params: Grant['params'],
    method: string,
  ): Promise<Decision> {
    const watch = reporter.start()
    const rule = extraRules.get(data) ?? compileRule(data, compiled.ruleContext)
    extraRules.set(data, rule)
    const subject = heard.get(grant)
    let refusal: Refusal | undefined = { code: 'internal_error', stage: 'rule', details: undefined }
    try {
      if (subject !== undefined) {
        const { verified, delegation, isUsedUp } = subject
        const judged = { token: verified.token, delegation, params, now: seconds() }
        const denial = isUsedUp ? rule.check(judged) : await checks.checkRule(rule, judged)
        refusal = denial && { code: denial.code, stage: 'rule', details: denial.details }
        subject.isUsedUp ||= rule.once && denial === undefined
      }
    } catch {}
    if (refusal === undefined) return Object.freeze({ outcome: 'allow', grant, headers: {} })
    const decision = refuse(refusal, rule.mode, grant.route)
    const findings: Findings = subject ?? nothing
    reporter.decided(decision, method, findings, watch)
    return decision
  }

  const verifier: Verifier = Object.freeze({
    verify,
    respond: respond as Verifier['respond'],
    policy: snapshot(policy) as Policy,
    metadata: () => toMetadata(compiled),
    ready: () => everyIssuer(issuerKeys, (keys) => keys.ready()),
    refreshKeys: () => everyIssuer(issuerKeys, (keys) => keys.refresh()),
    close() {
      isClosed = true
      for (const keys of issuerKeys.values()) keys.close()
    },
  })
  internals.set(verifier, {
    compiled,
    applyRule,
    refuse(refusal, method, mode) {
      const watch = reporter.start()
      const decision = refuse(refusal, mode)
      reporter.decided(decision, method, nothing, watch)
      return decision
    },
  })
  return verifier
}

function respond(decision: Decision): Response | undefined {
  if (decision.outcome !== 'deny') return undefined
  const { status, headers, body } = decision
  return new Response(JSON.stringify(body), { status, headers })
}
