import type { MeterProvider, TracerProvider } from '@opentelemetry/api'
import type { Decision } from './decision.js'
import { type CacheOptions, cacheDefaults } from './lib/cache.js'
import { PolicyError, type PolicyIssue } from './policy/error.js'
import type { IssuerPolicy } from './policy/policy.js'
import type { ReplayStore, Revocations } from './stores/store.js'
import type { DecisionFacts } from './telemetry/facts.js'

/** What a verifier is made with, besides its policy. */
export interface VerifierOptions {
  /**
   * Default: one `memoryReplayStore()` that all verifiers of the process share. A verifier with a `now` of its own gets
   * a store of its own.
   */
  replayStore?: ReplayStore
  /** Default: none, and nothing is ever revoked. `memoryRevocations()` is good for one process. */
  revocations?: Revocations
  /** At least 16 bytes, shared by every process that serves the API. Default: random. */
  nonceSecret?: string | Uint8Array
  /**
   * Gives the entry of an issuer that the policy does not have, for multi-tenant issuers; undefined: not trusted. The
   * entry's `url` or `name` has to be the `iss` asked for. Asked once at a time, and again after five minutes (30 s
   * where it knew none). A throw, or no answer within 5 s, refuses the request with 503.
   */
  resolveIssuer?: (iss: string) => IssuerPolicy | undefined | Promise<IssuerPolicy | undefined>
  /** Bounds of what is kept in memory so that it need not be verified again. */
  cache?: CacheOptions
  /** Used for keys and metadata of issuers, nothing else. */
  fetch?: typeof globalThis.fetch
  /** Milliseconds since the epoch. Default: `Date.now`. */
  now?: () => number
  /**
   * Told of the verdict on each request, once; and once more, with `facts.overrules`, where `requireIntent` refuses
   * what the policy had let through. Not waited for: whatever it throws, rejects or never settles changes nothing.
   */
  onDecision?: (decision: Decision, facts: DecisionFacts) => void | Promise<void>
  /** The share of the requests let through that get a span, from 0 to 1; every refusal has one. Default: 0. */
  traceAllowed?: number
  /** Default: the global one, whenever it is registered. */
  tracerProvider?: TracerProvider
  /** Default: the global one, whenever it is registered. */
  meterProvider?: MeterProvider
}

/** Throws a PolicyError that names every option which cannot be what it should be. */
export function checkOptions(options: VerifierOptions): void {
  const issues: PolicyIssue[] = []
  const check = (name: keyof VerifierOptions, isRight: boolean, message: string) => {
    if (options[name] !== undefined && !isRight) issues.push({ path: `options.${name}`, message })
  }
  const known: Record<keyof VerifierOptions, true> = {
    replayStore: true,
    revocations: true,
    nonceSecret: true,
    resolveIssuer: true,
    cache: true,
    fetch: true,
    now: true,
    onDecision: true,
    traceAllowed: true,
    tracerProvider: true,
    meterProvider: true,
  }
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(known, name)) issues.push({ path: `options.${name}`, message: 'is not known' })
  }
  check('replayStore', typeof options.replayStore?.remember === 'function', 'must have a method remember')
  check('revocations', typeof options.revocations?.isRevoked === 'function', 'must have a method isRevoked')
  check('nonceSecret', isSecret(options.nonceSecret), 'must be a string or bytes, 16 bytes at least')
  issues.push(...checkCache(options.cache))
  check('resolveIssuer', typeof options.resolveIssuer === 'function', 'must be a function')
  check('fetch', typeof options.fetch === 'function', 'must be a function')
  check('now', typeof options.now === 'function', 'must be a function')
  check('onDecision', typeof options.onDecision === 'function', 'must be a function')
  check('traceAllowed', isRatio(options.traceAllowed), 'must be a number from 0 to 1')
  check(
    'tracerProvider',
    typeof options.tracerProvider?.getTracer === 'function',
    'must have a method getTracer',
  )
  check('meterProvider', typeof options.meterProvider?.getMeter === 'function', 'must have a method getMeter')
  if (issues.length > 0) throw new PolicyError(issues)
}

function checkCache(cache: CacheOptions | undefined): readonly PolicyIssue[] {
  if (cache === undefined) return []
  const path = 'options.cache'
  if (typeof cache !== 'object' || cache === null) return [{ path, message: 'must be an object' }]
  return Object.entries(cache).flatMap(([name, bytes]) => {
    const place = `${path}.${name}`
    if (!Object.hasOwn(cacheDefaults, name)) return [{ path: place, message: 'is not known' }]
    const isRight = bytes === undefined || (Number.isSafeInteger(bytes) && bytes >= 0)
    return isRight ? [] : [{ path: place, message: 'must be a whole number of bytes' }]
  })
}

function isSecret(value: unknown): boolean {
  return (typeof value === 'string' || value instanceof Uint8Array) && value.length >= 16
}

function isRatio(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value <= 1
}
