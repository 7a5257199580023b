import { LRUCache } from 'lru-cache'
import { type IssuerKeys, inlineKeys } from '../keys/issuer-keys.js'
import { remoteKeys } from '../keys/remote-keys.js'
import { createStopwatches, type Stopwatch } from '../keys/stopwatch.js'
import { snapshot } from '../lib/plain-data.js'
import { type MaybePromise, STORE_TIMEOUT_SECONDS, withDeadline } from '../lib/promise.js'
import { type CompiledIssuer, compileIssuer, type IssuerDefaults } from '../policy/issuer.js'
import { parseIssuer } from '../policy/parse.js'
import { type Cause, describe, describeError, Refusal } from '../refusal.js'

/** The parts of a policy that say whose tokens are accepted. */
export interface IssuersPolicy {
  readonly issuers: ReadonlyMap<string, CompiledIssuer>
  /** For entries that `resolveIssuer` gives. */
  readonly issuerDefaults: IssuerDefaults
}

/** The options of a verifier that keys and issuers are found by. */
export interface IssuersOptions {
  readonly resolveIssuer?: (iss: string) => unknown
  readonly fetch?: typeof globalThis.fetch
  readonly now?: () => number
}

/** An issuer whose tokens are accepted, with its keys. */
export interface TrustedIssuer {
  readonly entry: CompiledIssuer
  readonly keys: IssuerKeys
  /** Whether the entry still counts: one that `resolveIssuer` gave has to be asked for again after a while. */
  isCurrent(): boolean
}

/** The issuers of a policy, and those that `resolveIssuer` gives. */
export interface Issuers {
  /** Undefined where nobody trusts this `iss`; `keys_unavailable` where `resolveIssuer` fails. */
  find(iss: unknown): MaybePromise<TrustedIssuer | Refusal | undefined>
  /** The issuers of the policy itself. */
  readonly declared: readonly TrustedIssuer[]
  close(): void
}

/** Issuers that are kept. */
const maxResolved = 1000
/** Names of nobody that are remembered apart, so that made-up ones push out no issuer. */
const maxUnknown = 1000
/** Questions to `resolveIssuer` at a time about names that are not known yet. */
const maxPending = 64
/** Milliseconds after which `resolveIssuer` is asked again. */
const resolvedLife = 300_000
const unknownLife = 30_000

export function createIssuers(
  policy: IssuersPolicy,
  options: IssuersOptions,
  onRefresh: (issuer: string, outcome: 'success' | 'failure') => void,
): Issuers {
  const trust = (entry: CompiledIssuer, isCurrent: () => boolean): TrustedIssuer => ({
    entry,
    keys: createKeys(entry, options, onRefresh),
    isCurrent,
  })
  const declared = new Map(
    [...policy.issuers.values()].map((entry) => [entry.name, trust(entry, () => true)] as const),
  )
  const resolver = options.resolveIssuer && createResolver(policy, options, trust)
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

interface Resolved {
  readonly issuer: TrustedIssuer
  /** The entry as it was given: the keys stay where it is the same again. */
  readonly text: string
  readonly age: Stopwatch
}

/** Asks `resolveIssuer` once for an `iss` at a time, and remembers a bounded number of answers, negative ones too. */
function createResolver(
  policy: IssuersPolicy,
  options: IssuersOptions,
  trust: (entry: CompiledIssuer, isCurrent: () => boolean) => TrustedIssuer,
): { find(iss: string): MaybePromise<TrustedIssuer | Refusal | undefined>; close(): void } {
  const startStopwatch = createStopwatches(options.now ?? Date.now)
  const known = new LRUCache<string, Resolved>({
    max: maxResolved,
    dispose: ({ issuer }, _, reason) => {
      if (reason === 'evict') issuer.keys.close()
    },
  })
  const unknown = new LRUCache<string, Stopwatch>({ max: maxUnknown })
  const pending = new Map<string, Promise<TrustedIssuer | Refusal | undefined>>()

  async function ask(iss: string): Promise<TrustedIssuer | Refusal | undefined> {
    const age = startStopwatch()
    let text: string
    let entry: CompiledIssuer | undefined
    try {
      const answer = await withDeadline(Promise.resolve(options.resolveIssuer?.(iss)), STORE_TIMEOUT_SECONDS)
      const given = answer === undefined || answer === null ? undefined : snapshot(answer)
      text = JSON.stringify(given) ?? ''
      entry = given === undefined ? undefined : readEntry(given, policy)
    } catch (error) {
      const reason = `resolveIssuer failed: ${describeError(error)}`
      return new Refusal('keys_unavailable', { reason, claim: 'iss', found: describe(iss), unverified: true })
    }
    // An entry of another issuer must not vouch for this one.
    if (entry?.name !== iss) {
      known.get(iss)?.issuer.keys.close()
      known.delete(iss)
      unknown.set(iss, age)
      return undefined
    }
    const issuer = keep(iss, entry, text)
    unknown.delete(iss)
    known.set(iss, { issuer, text, age })
    return issuer
  }

  /** The issuer of an entry: the one that is known, where the entry is the same as before. */
  function keep(iss: string, entry: CompiledIssuer, text: string): TrustedIssuer {
    const before = known.get(iss)
    if (before?.text === text) return before.issuer
    before?.issuer.keys.close()
    const isCurrent = () => known.peek(iss)?.issuer === issuer && (known.peek(iss)?.age() ?? 0) < resolvedLife
    const issuer = trust(entry, () => isCurrent())
    return issuer
  }

  return {
    find(iss) {
      const found = known.get(iss)
      if (found !== undefined && found.age() < resolvedLife) return found.issuer
      if (!isIssuerName(iss) || (unknown.get(iss)?.() ?? unknownLife) < unknownLife) return undefined
      const asked = pending.get(iss)
      if (asked !== undefined) return asked
      // Made-up names must not keep the tokens of an issuer waiting that is known.
      if (found === undefined && pending.size >= maxPending) {
        const reason = 'resolveIssuer has too many questions to answer'
        return new Refusal('keys_unavailable', {
          reason,
          claim: 'iss',
          found: describe(iss),
          unverified: true,
        })
      }
      const asking = ask(iss).finally(() => pending.delete(iss))
      pending.set(iss, asking)
      return asking
    },
    close() {
      for (const { issuer } of known.values()) issuer.keys.close()
    },
  }
}

/** Whether an entry can have this `url` or `name` at all: nothing else is asked for or remembered. */
function isIssuerName(iss: string): boolean {
  return /^[\x21-\x7e]{1,2048}$/.test(iss)
}

/** Throws a PolicyError where the entry is wrong. */
function readEntry(given: unknown, policy: IssuersPolicy): CompiledIssuer {
  const { data, problems } = parseIssuer(given)
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
    // Looked up anew, so that instrumentation which replaces the global one is used.
    fetch: options.fetch ?? ((...args) => globalThis.fetch(...args)),
    now: options.now ?? Date.now,
    onRefresh: (outcome) => onRefresh(entry.name, outcome),
  })
}

/** Whether the keys of every issuer are at hand. */
export interface Readiness {
  readonly ready: boolean
  readonly issuers: readonly IssuerReadiness[]
}

export interface IssuerReadiness {
  /** As in the policy. */
  readonly url: string
  readonly ready: boolean
  /** Why there are no keys; beside `ready: true`, why the keys of an earlier fetch could not be refreshed. */
  readonly cause?: Cause
}

export async function readinessOf({ declared }: Issuers): Promise<Readiness> {
  const issuers = await Promise.all(
    declared.map(async ({ entry, keys }) => ({ url: entry.url ?? entry.name, ...(await keys.ready()) })),
  )
  return { ready: issuers.every(({ ready }) => ready), issuers }
}

/** Fetches the keys of every issuer; whether all of them could be had. */
export async function refreshAll({ declared }: Issuers): Promise<boolean> {
  const answers = await Promise.all(declared.map(({ keys }) => keys.refresh()))
  return answers.every((answer) => answer)
}
