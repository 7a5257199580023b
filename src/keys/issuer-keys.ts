import type { Algorithm } from '../jose/algorithms.js'
import { type Maybe, withDeadline } from '../maybe.js'
import { Refusal } from '../refusal.js'
import { discoverJwksUri } from './discovery.js'
import { fetchJson } from './fetch-json.js'
import { type IssuerKey, type KeySet, readKeySet } from './key-set.js'

/** The keys of one issuer, wherever they come from. */
export interface IssuerKeys {
  /** Whether the issuer still publishes this key, as far as is known. Asks no network and never waits. */
  holds(key: IssuerKey): boolean
  /** The keys that may have signed, or why there are none. Waits for a fetch only where it has to. */
  find(kid: string | undefined, algorithm: Algorithm): Maybe<readonly IssuerKey[] | Refusal>
  /** Fetches the keys now; whether they could be had. */
  refresh(): Promise<boolean>
  /** Whether there are keys to verify with, fetched first where there are none. */
  ready(): Promise<boolean>
  close(): void
}

export interface RemoteKeysOptions {
  readonly issuer: string
  /** Found through the issuer's metadata where undefined. */
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

/** Keys that the policy holds itself. */
export function inlineKeys(set: KeySet): IssuerKeys {
  return {
    holds: (key) => set.has(key),
    find: (kid, algorithm) => {
      const keys = set.select(kid, algorithm)
      return keys.length > 0 ? keys : new Refusal('key_not_found')
    },
    refresh: async () => true,
    ready: async () => true,
    close: () => {},
  }
}

/** Milliseconds before the second attempt after a failure; doubled each time, up to the cooldown. */
const firstBackoff = 100

/**
 * Keys that are fetched: once for any number of requests at a time, in the background before they are old, and
 * kept through an outage. All of it is driven by requests; there is no timer to keep a process alive.
 */
export function remoteKeys(options: RemoteKeysOptions): IssuerKeys {
  const seconds = (value: number) => value * 1000
  const timing = createElapsed(options.now)
  const closing = new AbortController()

  let set: (KeySet & Iterable<IssuerKey>) | undefined
  let sinceFetched: () => number = () => Number.POSITIVE_INFINITY
  let sinceFailed: () => number = () => Number.POSITIVE_INFINITY
  let sinceUnknownKid: () => number = () => Number.POSITIVE_INFINITY
  let failures = 0
  let backoff = 0
  let inFlight: Promise<boolean> | undefined
  let jwksUri = options.jwksUri

  async function attempt(): Promise<boolean> {
    const elapsed = timing()
    const timeout = new AbortController()
    try {
      const signal = AbortSignal.any([closing.signal, timeout.signal])
      // Beside the signal, since a `fetch` of the user's own may not heed it.
      const { uri, fetched } = await withDeadline(download(signal), options.timeout)
      jwksUri = uri
      set = fetched
      // Counted from the request, not the answer: a key withdrawn while it was under way is noticed in time.
      sinceFetched = elapsed
      failures = 0
      return true
    } catch {
      // What was found through metadata may have moved.
      jwksUri = options.jwksUri
      sinceFailed = timing()
      backoff = Math.min(firstBackoff * 2 ** failures, seconds(options.cooldown)) * (0.5 + Math.random() / 2)
      failures++
      return false
    } finally {
      timeout.abort()
    }
  }

  async function download(signal: AbortSignal) {
    const uri = jwksUri ?? (await discoverJwksUri(options.issuer, options.fetch, signal))
    const fetched = readKeySet(await fetchJson(uri, options.fetch, signal), set)
    if (fetched === undefined) throw new Error('no usable key')
    return { uri, fetched }
  }

  function fetchKeys(): Promise<boolean> {
    inFlight ??= attempt().then((succeeded) => {
      inFlight = undefined
      report(options, succeeded)
      return succeeded
    })
    return inFlight
  }

  function mayRetry(): boolean {
    return inFlight !== undefined || failures === 0 || sinceFailed() >= backoff
  }

  function usableSet(): KeySet | undefined {
    if (set === undefined || closing.signal.aborted) return undefined
    const age = sinceFetched()
    if (age > seconds(options.maxStale)) return undefined
    if (age > seconds(options.maxAge) && inFlight === undefined && mayRetry()) void fetchKeys()
    return set
  }

  function find(kid: string | undefined, algorithm: Algorithm): Maybe<readonly IssuerKey[] | Refusal> {
    const found = usableSet()?.select(kid, algorithm)
    return found !== undefined && found.length > 0 ? found : findAfterFetch(kid, algorithm)
  }

  async function findAfterFetch(
    kid: string | undefined,
    algorithm: Algorithm,
  ): Promise<readonly IssuerKey[] | Refusal> {
    let keys = usableSet()
    let hasWaited = false
    if (keys === undefined && mayRetry()) {
      await fetchKeys()
      hasWaited = true
      keys = usableSet()
    }
    if (keys === undefined) return new Refusal('keys_unavailable')
    let found = keys.select(kid, algorithm)
    if (found.length === 0 && kid !== undefined && !keys.hasKid(kid) && !hasWaited) {
      // The key may be new. A fetch that is under way costs nothing to wait for; another one has its cooldown,
      // so that tokens with made-up kids cannot turn this server against the issuer.
      if (inFlight === undefined && sinceUnknownKid() >= seconds(options.cooldown) && mayRetry()) {
        sinceUnknownKid = timing()
        await fetchKeys()
      } else await inFlight
      found = usableSet()?.select(kid, algorithm) ?? []
    }
    if (found.length > 0) return found
    return new Refusal(failures > 0 ? 'keys_unavailable' : 'key_not_found')
  }

  return {
    holds: (key) => usableSet()?.has(key) === true,
    find,
    async refresh() {
      // One that began before this call may bring what was there before it.
      await inFlight
      return fetchKeys()
    },
    async ready() {
      if (usableSet() === undefined && mayRetry()) await fetchKeys()
      return usableSet() !== undefined
    },
    close: () => closing.abort(),
  }
}

/**
 * Stopwatches that no jump of the wall clock holds back: each gives the greater of what the given clock and
 * the machine's monotonic one have counted, in milliseconds.
 */
function createElapsed(now: () => number): () => () => number {
  return () => {
    const startedAt = read(now)
    const startedMonotonic = performance.now()
    return () => Math.max(read(now) - startedAt || 0, performance.now() - startedMonotonic)
  }
}

/** A clock that fails must not take the keys with it: the monotonic one goes on. */
function read(now: () => number): number {
  try {
    return Number(now())
  } catch {
    return Number.NaN
  }
}

function report(options: RemoteKeysOptions, succeeded: boolean): void {
  try {
    options.onRefresh(succeeded ? 'success' : 'failure')
  } catch {
    // Telemetry that fails must not take the keys with it.
  }
}
