import { LRUCache } from 'lru-cache'
import { parseIssuer } from '#policy-parser'
import { type IssuerKeys, inlineKeys } from '../keys/issuer-keys.js'
import { remoteKeys } from '../keys/remote-keys.js'
import { createSharedTask, type SharedTask } from '../keys/shared-task.js'
import { createStopwatches, type Stopwatch } from '../keys/stopwatch.js'
import { snapshot } from '../lib/plain-data.js'
import { type MaybePromise, STORE_TIMEOUT_SECONDS, withDeadline } from '../lib/promise.js'
import { type CompiledIssuer, compileIssuer, type IssuerDefaults } from '../policy/issuer.js'
import { type Cause, describe, describeError, Refusal } from '../refusal.js'

/** The part of a policy that names the accepted issuers. */
export interface IssuersPolicy {
  readonly issuers: ReadonlyMap<string, CompiledIssuer>
  /** For entries that `resolveIssuer` returns. */
  readonly issuerDefaults: IssuerDefaults
}

/** The options of a verifier that find issuers and keys. */
export interface IssuersOptions {
  readonly resolveIssuer?: (iss: string) => unknown
  readonly fetch?: typeof globalThis.fetch
  readonly now?: () => number
}

/** An issuer whose tokens are accepted, with its keys. */
export interface TrustedIssuer {
  readonly entry: CompiledIssuer
  readonly keys: IssuerKeys
  /** False for an entry of `resolveIssuer` that is outdated: it must be resolved again. */
  isCurrent(): boolean
}

/** The issuers of a policy, and those that `resolveIssuer` returns. */
export interface Issuers {
  /** Undefined if `iss` is not trusted. Refuses with `keys_unavailable` if `resolveIssuer` fails. */
  find(iss: unknown): MaybePromise<TrustedIssuer | Refusal | undefined>
  /** The issuers of the policy. */
  readonly declared: readonly TrustedIssuer[]
  close(): void
}

/** The number of resolved issuers that are cached. */
const maxResolved = 1000
/** The number of untrusted names that are cached. They have their own cache and evict no issuer. */
const maxUnknown = 1000
/** Concurrent calls of `resolveIssuer` for names that are not cached. */
const maxPending = 64
/** Milliseconds until `resolveIssuer` is called again. */
const resolvedLifetime = 300_000
const unknownLifetime = 30_000

export function createIssuers(
  policy: IssuersPolicy,
  options: IssuersOptions,
  onRefresh: (issuer: string, outcome: 'success' | 'failure') => void,
  previous?: Issuers,
): Issuers {
  const createIssuer = (entry: CompiledIssuer, isCurrent: () => boolean): TrustedIssuer => ({
    entry,
    keys: findSameKeys(entry, previous) ?? createKeys(entry, options, onRefresh),
    isCurrent,
  })
  const declared = new Map(
    [...policy.issuers.values()].map((entry) => [entry.name, createIssuer(entry, () => true)] as const),
  )
  const resolver = options.resolveIssuer && createResolver(policy, options, createIssuer)
  return {
    find(iss) {
      if (typeof iss !== 'string') return undefined
      return declared.get(iss) ?? resolver?.find(iss)
    },
    declared: [...declared.values()],
    close() {
      for (const { keys } of declared.values()) keys.close()
      resolver?.close()
    },
  }
}

/** The fetched keys of an issuer whose entry finds them in the same way in the policy before. */
function findSameKeys(entry: CompiledIssuer, previous: Issuers | undefined): IssuerKeys | undefined {
  if (entry.jwks !== undefined) return undefined
  const sourceOf = ({ name, url, jwksUri, keys, allowInsecureHttp }: CompiledIssuer) =>
    JSON.stringify([name, url, jwksUri, keys, allowInsecureHttp])
  const same = previous?.declared.find(
    (issuer) => issuer.entry.jwks === undefined && sourceOf(issuer.entry) === sourceOf(entry),
  )
  return same?.keys
}

interface ResolvedIssuer {
  readonly issuer: TrustedIssuer
  /** The entry as JSON. The keys are kept if `resolveIssuer` returns the same entry again. */
  readonly text: string
  readonly age: Stopwatch
}

/** Calls `resolveIssuer` once at a time for each `iss`, and caches the results, negative ones too. */
function createResolver(
  policy: IssuersPolicy,
  options: IssuersOptions,
  createIssuer: (entry: CompiledIssuer, isCurrent: () => boolean) => TrustedIssuer,
): { find(iss: string): MaybePromise<TrustedIssuer | Refusal | undefined>; close(): void } {
  const startStopwatch = createStopwatches(options.now ?? Date.now)
  const known = new LRUCache<string, ResolvedIssuer>({
    max: maxResolved,
    dispose: ({ issuer }, _, reason) => {
      if (reason === 'evict') issuer.keys.close()
    },
  })
  const unknown = new LRUCache<string, Stopwatch>({ max: maxUnknown })
  const pending = new Map<string, SharedTask<TrustedIssuer | Refusal | undefined>>()

  async function resolve(iss: string): Promise<TrustedIssuer | Refusal | undefined> {
    const age = startStopwatch()
    let text: string
    let entry: CompiledIssuer | undefined
    try {
      const result = await withDeadline(Promise.resolve(options.resolveIssuer?.(iss)), STORE_TIMEOUT_SECONDS)
      const input = result === undefined || result === null ? undefined : snapshot(result)
      text = JSON.stringify(input) ?? ''
      entry = input === undefined ? undefined : compileEntry(input, policy)
    } catch (error) {
      return unavailable(`resolveIssuer failed: ${describeError(error)}`, iss)
    }
    // An entry of another issuer must not make this one trusted.
    if (entry?.name !== iss) {
      known.get(iss)?.issuer.keys.close()
      known.delete(iss)
      unknown.set(iss, age)
      return undefined
    }
    const issuer = reuseOrCreate(iss, entry, text)
    unknown.delete(iss)
    known.set(iss, { issuer, text, age })
    return issuer
  }

  /** In Workers, a call dies with its request, and leaves its name here. */
  function isFull(): boolean {
    if (pending.size < maxPending) return false
    for (const [iss, task] of pending) if (!task.isRunning()) pending.delete(iss)
    return pending.size >= maxPending
  }

  /** The cached issuer, with its keys, if the entry is the same as before. */
  function reuseOrCreate(iss: string, entry: CompiledIssuer, text: string): TrustedIssuer {
    const before = known.get(iss)
    if (before?.text === text) return before.issuer
    before?.issuer.keys.close()
    const issuer: TrustedIssuer = createIssuer(entry, () => {
      const cached = known.peek(iss)
      return cached?.issuer === issuer && cached.age() < resolvedLifetime
    })
    return issuer
  }

  return {
    find(iss) {
      const found = known.get(iss)
      if (found !== undefined && found.age() < resolvedLifetime) return found.issuer
      if (!isIssuerName(iss) || (unknown.get(iss)?.() ?? unknownLifetime) < unknownLifetime) return undefined
      const inFlight = pending.get(iss)
      if (inFlight !== undefined) return inFlight.run()
      // The limit is for unknown names only: a flood of them must not delay tokens of a known issuer.
      if (found === undefined && isFull())
        return unavailable('too many calls of resolveIssuer are pending', iss)
      const work = () => resolve(iss).finally(() => pending.delete(iss))
      const task = createSharedTask(work, STORE_TIMEOUT_SECONDS * 1000, startStopwatch)
      pending.set(iss, task)
      return task.run()
    },
    close() {
      for (const { issuer } of known.values()) issuer.keys.close()
    },
  }
}

function unavailable(reason: string, iss: string): Refusal {
  return new Refusal('keys_unavailable', { reason, claim: 'iss', found: describe(iss), unverified: true })
}

/** Whether an entry can have this `url` or `name`. Other names are neither resolved nor cached. */
function isIssuerName(iss: string): boolean {
  return /^[\x21-\x7e]{1,2048}$/.test(iss)
}

/** Throws PolicyError if the entry is wrong. */
function compileEntry(input: unknown, policy: IssuersPolicy): CompiledIssuer {
  const { data, problems } = parseIssuer(input)
  const entry = compileIssuer(data, policy.issuerDefaults, (path, message) => problems.add(path, message))
  problems.throwIfAny()
  return entry
}

function createKeys(
  entry: CompiledIssuer,
  options: IssuersOptions,
  onRefresh: (issuer: string, outcome: 'success' | 'failure') => void,
): IssuerKeys {
  if (entry.jwks !== undefined) return inlineKeys(entry.jwks)
  return remoteKeys({
    ...entry.keys,
    issuer: entry.url ?? entry.name,
    allowInsecureHttp: entry.allowInsecureHttp,
    jwksUri: entry.jwksUri,
    // Read for each fetch, because instrumentation may replace the global.
    fetch: options.fetch ?? ((...args) => globalThis.fetch(...args)),
    now: options.now ?? Date.now,
    onRefresh: (outcome) => onRefresh(entry.name, outcome),
  })
}

/** Whether the verifier has the keys of every issuer. */
export interface Readiness {
  readonly ready: boolean
  readonly issuers: readonly IssuerReadiness[]
}

export interface IssuerReadiness {
  /** `url` of the issuer as in the policy, else its `name`. */
  readonly url: string
  readonly ready: boolean
  /** Why there are no keys. With `ready: true`: why the last refresh failed. Older keys are in use. */
  readonly cause?: Cause
}

export async function getReadiness({ declared }: Issuers): Promise<Readiness> {
  const issuers = await Promise.all(
    declared.map(async ({ entry, keys }) => ({ url: entry.url ?? entry.name, ...(await keys.ready()) })),
  )
  return { ready: issuers.every(({ ready }) => ready), issuers }
}

/** Fetches the keys of every issuer. False if a fetch failed. */
export async function refreshAllKeys({ declared }: Issuers): Promise<boolean> {
  const results = await Promise.all(declared.map(({ keys }) => keys.refresh()))
  return results.every(Boolean)
}
