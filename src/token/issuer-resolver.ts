import { Lru } from '#lru'
import { parseIssuer } from '#policy-parser'
import { createSharedTask, type SharedTask } from '../keys/shared-task.js'
import { createStopwatches, type Stopwatch } from '../keys/stopwatch.js'
import { snapshot } from '../lib/plain-data.js'
import { STORE_TIMEOUT_SECONDS, withDeadline } from '../lib/promise.js'
import type { CompiledIssuer } from '../policy/issuer.js'
import { describe, describeError, Refusal } from '../refusal.js'
import type { IssuerResolver, IssuersOptions, IssuersPolicy, TrustedIssuer } from './trusted-issuer.js'

/** The number of resolved issuers that are cached. */
const maxResolved = 1000
/** The number of untrusted names that are cached. They have their own cache and evict no issuer. */
const maxUnknown = 1000
/** Concurrent calls of `resolveIssuer` for names that are not cached. */
const maxPending = 64
/** Milliseconds until `resolveIssuer` is called again. */
const resolvedLifetime = 300_000
const unknownLifetime = 30_000

interface ResolvedIssuer {
  readonly issuer: TrustedIssuer
  /** The entry as JSON. The keys are kept if `resolveIssuer` returns the same entry again. */
  readonly text: string
  readonly age: Stopwatch
}

/** Calls `resolveIssuer` once at a time for each `iss`, and caches the results, negative ones too. */
export function createResolver(
  resolveIssuer: NonNullable<IssuersOptions['resolveIssuer']>,
  { issuerDefaults }: IssuersPolicy,
  { now = Date.now }: IssuersOptions,
  createIssuer: (entry: CompiledIssuer, isCurrent: () => boolean) => TrustedIssuer,
): IssuerResolver {
  const startStopwatch = createStopwatches(now)
  const known = new Lru<ResolvedIssuer>(maxResolved, ({ issuer }) => issuer.keys.close())
  const unknown = new Lru<Stopwatch>(maxUnknown)
  const pending = new Map<string, SharedTask<TrustedIssuer | Refusal | undefined>>()

  async function resolve(iss: string): Promise<TrustedIssuer | Refusal | undefined> {
    const age = startStopwatch()
    let text: string
    let entry: CompiledIssuer | undefined
    try {
      const result = await withDeadline(Promise.resolve(resolveIssuer(iss)), STORE_TIMEOUT_SECONDS)
      const input = result === undefined || result === null ? undefined : snapshot(result)
      text = JSON.stringify(input) ?? ''
      entry = input === undefined ? undefined : parseIssuer(input, issuerDefaults)
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
