import type { MeterProvider, TracerProvider } from '@opentelemetry/api'
import type { Decision } from './decision.js'
import { type CacheOptions, cacheDefaults } from './lib/cache.js'
import { PolicyError, type PolicyIssue } from './policy/error.js'
import type { IssuerPolicy } from './policy/policy.js'
import type { Authorize } from './rules/authorize.js'
import type { LimitStore, ReplayStore, Revocations } from './stores/store.js'
import type { DenialLogger } from './telemetry/denial-log.js'
import type { DecisionFacts } from './telemetry/facts.js'

/** Options of `createVerifier` and of the adapters. */
export interface VerifierOptions {
  /**
   * Default: one `memoryReplayStore()` that all verifiers of the process share. A verifier with the option
   * `now` gets its own.
   */
  replayStore?: ReplayStore
  /**
   * Counts for `limit` of the rules. Default: one `memoryLimitStore()` that all verifiers of the process
   * share. A verifier with the option `now` gets its own.
   */
  limitStore?: LimitStore
  /** Default: none, so no token is ever revoked. `memoryRevocations()` serves a single process. */
  revocations?: Revocations
  /**
   * Key for DPoP nonces, at least 16 bytes. Use the same key in every process of the API. Default: random.
   */
  nonceSecret?: string | Uint8Array
  /**
   * Looks up an issuer that the policy does not list, for multi-tenant APIs. Return the issuer's entry, whose
   * `url` or `name` must equal `iss`, or undefined if the issuer is not trusted. There is one call at a time
   * for each `iss`. An entry is kept for 5 minutes, undefined for 30 s. If the call throws or takes more than
   * 5 s, the request is denied with 503.
   */
  resolveIssuer?: (iss: string) => IssuerPolicy | undefined | Promise<IssuerPolicy | undefined>
  /**
   * Asked after all conditions of a rule hold, on `'authenticated'` routes too: another authorization system.
   * It can only deny. A throw, or no answer within `authorizeTimeout`, denies the request with 503.
   * `authzen()` makes one.
   */
  authorize?: Authorize
  /** Seconds. Default 1. */
  authorizeTimeout?: number
  /** Sizes of the caches for verified tokens, proof keys and assertions. */
  cache?: CacheOptions
  /** Fetches the keys and the metadata of issuers, nothing else. Default: the global `fetch`. */
  fetch?: typeof globalThis.fetch
  /** Milliseconds since the epoch. Default: `Date.now`. */
  now?: () => number
  /**
   * Called once for each decision, and again with `facts.overrules` if `requireIntent` denies a request that
   * the policy let through, or `guardUpgrade` ends its WebSocket. Not awaited. A throw or a rejection changes
   * nothing.
   */
  onDecision?: (decision: Decision, facts: DecisionFacts) => void | Promise<void>
  /**
   * Logs one line for each denial: cause, agent, route and trace id, never a token, a proof, a key or a
   * secret. `console`, a pino logger, or any object with a method `warn`. `NODE_DEBUG=ajwt` writes the same
   * lines to standard error.
   */
  log?: DenialLogger
  /** The fraction of non-denied requests that get a span, from 0 to 1. Every denial gets one. Default: 0. */
  traceAllowed?: number
  /** Default: the global provider, even if it is registered later. */
  tracerProvider?: TracerProvider
  /** Default: the global provider, even if it is registered later. */
  meterProvider?: MeterProvider
}

/** Throws a `PolicyError` that lists every invalid option. */
export function checkOptions(options: VerifierOptions): void {
  const issues: PolicyIssue[] = []
  const check = (name: keyof VerifierOptions, isValid: boolean, message: string) => {
    if (options[name] !== undefined && !isValid) issues.push({ path: `options.${name}`, message })
  }
  const known: Record<keyof VerifierOptions, true> = {
    replayStore: true,
    limitStore: true,
    revocations: true,
    nonceSecret: true,
    resolveIssuer: true,
    authorize: true,
    authorizeTimeout: true,
    cache: true,
    fetch: true,
    now: true,
    onDecision: true,
    log: true,
    traceAllowed: true,
    tracerProvider: true,
    meterProvider: true,
  }
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(known, name)) issues.push({ path: `options.${name}`, message: notAnOption })
  }
  check('replayStore', typeof options.replayStore?.remember === 'function', 'must have a method remember')
  check('limitStore', typeof options.limitStore?.consume === 'function', 'must have a method consume')
  check('revocations', typeof options.revocations?.isRevoked === 'function', 'must have a method isRevoked')
  check('nonceSecret', isSecret(options.nonceSecret), 'must be a string or a Uint8Array of at least 16 bytes')
  issues.push(...checkCache(options.cache))
  check('resolveIssuer', typeof options.resolveIssuer === 'function', 'must be a function')
  check('authorize', typeof options.authorize === 'function', 'must be a function')
  check('authorizeTimeout', isTimeout(options.authorizeTimeout), 'must be a number of seconds, at most 60')
  check('fetch', typeof options.fetch === 'function', 'must be a function')
  check('now', typeof options.now === 'function', 'must be a function')
  check('onDecision', typeof options.onDecision === 'function', 'must be a function')
  check('log', typeof options.log?.warn === 'function', 'must have a method warn, as console and pino have')
  check('traceAllowed', isRatio(options.traceAllowed), 'must be a number from 0 to 1')
  check(
    'tracerProvider',
    typeof options.tracerProvider?.getTracer === 'function',
    'must have a method getTracer',
  )
  check('meterProvider', typeof options.meterProvider?.getMeter === 'function', 'must have a method getMeter')
  if (issues.length > 0) throw new PolicyError(issues)
}

const notAnOption = 'is not an option: remove it, or correct its spelling'

function checkCache(cache: CacheOptions | undefined): readonly PolicyIssue[] {
  if (cache === undefined) return []
  const path = 'options.cache'
  if (typeof cache !== 'object' || cache === null) return [{ path, message: 'must be an object' }]
  return Object.entries(cache).flatMap(([name, bytes]) => {
    const member = `${path}.${name}`
    if (!Object.hasOwn(cacheDefaults, name)) return [{ path: member, message: notAnOption }]
    const isValid = bytes === undefined || (Number.isSafeInteger(bytes) && bytes >= 0)
    return isValid ? [] : [{ path: member, message: 'must be a whole number of bytes, 0 or more' }]
  })
}

function isSecret(value: unknown): boolean {
  return (typeof value === 'string' || value instanceof Uint8Array) && value.length >= 16
}

function isTimeout(value: unknown): boolean {
  return typeof value === 'number' && value > 0 && value <= 60
}

function isRatio(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value <= 1
}
