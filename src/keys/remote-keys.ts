import type { Algorithm } from '../jws/algorithms.js'
import { type MaybePromise, withDeadline } from '../lib/promise.js'
import { type Cause, describe, Refusal } from '../refusal.js'
import { discoverJwksUri } from './discovery.js'
import { createFetchBudget } from './fetch-budget.js'
import { FetchError, fetchJson, shown } from './fetch-json.js'
import type { IssuerKey } from './issuer-key.js'
import { type IssuerKeys, keyNotFound } from './issuer-keys.js'
import { type KeySet, readKeySet } from './key-set.js'
import { createSharedTask } from './shared-task.js'
import { createStopwatches, type Stopwatch } from './stopwatch.js'

export interface RemoteKeysOptions {
  /** Its metadata names the JWKS. Not used with a `jwksUri`. */
  readonly issuer: string
  readonly allowInsecureHttp: boolean | readonly string[]
  /** Undefined: the `jwks_uri` of the metadata. */
  readonly jwksUri: string | undefined
  /** Seconds. */
  readonly maxAge: number
  readonly cooldown: number
  readonly maxStale: number
  readonly timeout: number
  readonly fetch: typeof globalThis.fetch
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly onRefresh: (outcome: 'success' | 'failure') => void
}

/** The share of `maxAge` after which keys are refreshed in the background: a busy API never waits. */
const refreshShare = 0.8

/**
 * Fetches per `cooldown` for unknown kids. Several: one token with an invented kid must not hide a new key.
 */
const unknownKidFetches = 4

/** Fetches per `cooldown` for signatures that no key of their kid verifies. */
const signatureFetches = 1

/** The share of `timeout` after which OpenID discovery starts while the RFC 8414 document has not arrived. */
const discoveryShare = 0.25

/** Milliseconds before the second attempt after a failure. Doubled each time, up to the cooldown. */
const firstBackoff = 100

const acceptKeys = 'application/jwk-set+json, application/json'
const acceptMetadata = 'application/json'

/** A fetch that failed, and those before it. */
interface Failure {
  readonly reason: string
  readonly count: number
  readonly elapsed: Stopwatch
  /** Milliseconds to wait before the next attempt. */
  readonly backoff: number
}

/**
 * Keys that are fetched: one fetch at a time for all requests, in the background before the keys are `maxAge`
 * old. Keys are kept through an outage. Requests start every fetch: no timer keeps a process alive.
 */
export function remoteKeys(options: RemoteKeysOptions): IssuerKeys {
  const milliseconds = (seconds: number) => seconds * 1000
  const maxAge = milliseconds(options.maxAge)
  const maxStale = milliseconds(options.maxStale)
  const cooldown = milliseconds(options.cooldown)
  const startStopwatch = createStopwatches(options.now)
  const closing = new AbortController()
  const forUnknownKids = createFetchBudget(unknownKidFetches, cooldown, startStopwatch)
  const forSignatures = createFetchBudget(signatureFetches, cooldown, startStopwatch)

  let set: KeySet | undefined
  let age: Stopwatch = () => Number.POSITIVE_INFINITY
  let failure: Failure | undefined
  let jwksUri = options.jwksUri
  const fetching = createSharedTask(
    async () => {
      const succeeded = await attempt()
      report(options, succeeded)
      return succeeded
    },
    milliseconds(options.timeout),
    startStopwatch,
  )

  async function attempt(): Promise<boolean> {
    // The age counts from the request: a key that is withdrawn during the fetch is noticed in time.
    const elapsed = startStopwatch()
    const ending = new AbortController()
    const pending = new Set<string>()
    try {
      const signal = AbortSignal.any([closing.signal, ending.signal])
      // Beside the signal: a `fetch` from the options may ignore it.
      const fetched = await withDeadline(download(signal, pending), options.timeout)
      jwksUri = fetched.uri
      set = fetched.keys
      age = elapsed
      failure = undefined
      return true
    } catch (error) {
      // The jwks_uri in the metadata may have changed.
      jwksUri = options.jwksUri
      const reason = error instanceof FetchError ? error.message : noAnswer(pending)
      const count = (failure?.count ?? 0) + 1
      const backoff = Math.min(firstBackoff * 2 ** (count - 1), cooldown) * (0.5 + Math.random() / 2)
      failure = { reason, count, elapsed: startStopwatch(), backoff }
      return false
    } finally {
      ending.abort()
    }
  }

  async function download(signal: AbortSignal, pending: Set<string>) {
    const getJson = async (url: string, accept: string) => {
      pending.add(url)
      const document = await fetchJson(url, accept, options.fetch, signal)
      pending.delete(url)
      return document
    }
    const getMetadata = (url: string) => getJson(url, acceptMetadata)
    const headStart = options.timeout * discoveryShare
    const uri =
      jwksUri ?? (await discoverJwksUri(options.issuer, getMetadata, headStart, options.allowInsecureHttp))
    const keys = readKeySet(await getJson(uri, acceptKeys), set)
    if (keys === undefined)
      throw new FetchError(`${shown(uri)} holds no JWK Set with 1 to 100 keys, one of them usable`)
    return { uri, keys }
  }

  function noAnswer(pending: Iterable<string>): string {
    return `no answer within ${options.timeout} s from ${[...pending].map(shown).join(' and ')}`
  }

  function untilRetry(): number {
    return failure === undefined ? 0 : Math.max(0, failure.backoff - failure.elapsed())
  }

  function mayFetch(): boolean {
    return !fetching.isRunning() && untilRetry() === 0 && !closing.signal.aborted
  }

  /**
   * The keys that serve without waiting: younger than `maxAge`, or kept while the last refresh has failed and
   * the next is not due. Without that limit, a withdrawn key would be accepted for `maxStale`.
   */
  function current(): KeySet | undefined {
    const elapsed = age()
    const kept = keptSet(elapsed)
    if (kept === undefined) return undefined
    const isFetchDue = elapsed > maxAge * refreshShare && mayFetch()
    if (isFetchDue && fetching.outlivesRequests) void fetching.run()
    return elapsed <= maxAge || !(isFetchDue || fetching.isRunning()) ? kept : undefined
  }

  /** The keys of the last successful fetch, until `maxStale`. */
  function keptSet(elapsed = age()): KeySet | undefined {
    return closing.signal.aborted || elapsed > maxStale ? undefined : set
  }

  function find(kid: string | undefined, algorithm: Algorithm): MaybePromise<readonly IssuerKey[] | Refusal> {
    const found = current()?.select(kid, algorithm)
    return found !== undefined && found.length > 0 ? found : findAfterFetch(kid, algorithm)
  }

  async function findAfterFetch(
    kid: string | undefined,
    algorithm: Algorithm,
  ): Promise<readonly IssuerKey[] | Refusal> {
    let keys = current()
    let isUnknown = false
    if (keys === undefined) {
      await fetchWhere(mayFetch)
      keys = keptSet()
    } else if (kid !== undefined && !keys.hasKid(kid)) {
      // The key may be new. A fetch under way costs nothing to wait for. Any other is one of the budget.
      isUnknown = !(await fetchWhere(() => mayFetch() && forUnknownKids.take()))
      keys = keptSet()
    }
    if (keys === undefined) return keysUnavailable()
    const found = keys.select(kid, algorithm)
    if (found.length > 0) return found
    if (failure !== undefined) return keysUnavailable()
    return isUnknown ? noFetchLeft(kid) : keyNotFound(keys, kid, algorithm)
  }

  /** Waits for the fetch under way, or for a new one where it is allowed. False where there is none. */
  async function fetchWhere(isAllowed: () => boolean): Promise<boolean> {
    if (!fetching.isRunning() && !isAllowed()) return false
    await fetching.run()
    return true
  }

  async function findOthers(
    kid: string | undefined,
    algorithm: Algorithm,
    tried: readonly IssuerKey[],
  ): Promise<readonly IssuerKey[]> {
    const untried = () => (keptSet()?.select(kid, algorithm) ?? []).filter((key) => !tried.includes(key))
    // Another request may have fetched the new key in the meantime.
    const fetchedMeanwhile = untried()
    if (fetchedMeanwhile.length > 0) return fetchedMeanwhile
    // A separate budget: forged signatures must not use up the fetches for unknown kids.
    return (await fetchWhere(() => mayFetch() && forSignatures.take())) ? untried() : []
  }

  function keysUnavailable(): Refusal {
    return new Refusal('keys_unavailable', causeOfFailure())
  }

  function causeOfFailure(): Cause {
    if (closing.signal.aborted) return { reason: 'the verifier is closed' }
    const seconds = Math.ceil(untilRetry() / 1000)
    const next = seconds === 0 ? 'the next request tries again' : `next try in ${seconds} s`
    return { reason: `${failure?.reason ?? 'the keys are older than maxStale'}; ${next}` }
  }

  function noFetchLeft(kid: string | undefined): Refusal {
    const seconds = Math.ceil(forUnknownKids.untilNext() / 1000)
    const reason = `unknown kid, and ${unknownKidFetches} fetches for unknown kids were made within ${options.cooldown} s; next one in ${seconds} s`
    return new Refusal('keys_unavailable', { reason, claim: 'kid', found: describe(kid), unverified: true })
  }

  return {
    holds: (key) => current()?.has(key) === true,
    find,
    findOthers,
    async refresh() {
      // A fetch that began before this call may bring older keys.
      if (fetching.isRunning()) await fetching.run()
      return fetching.run()
    },
    async ready() {
      if (current() === undefined) await fetchWhere(mayFetch)
      const ready = keptSet() !== undefined
      return ready && failure === undefined ? { ready } : { ready, cause: causeOfFailure() }
    },
    close: () => closing.abort(),
  }
}

function report(options: RemoteKeysOptions, succeeded: boolean): void {
  try {
    options.onRefresh(succeeded ? 'success' : 'failure')
  } catch {
    // A failure of telemetry must not be a failure of the fetch.
  }
}
