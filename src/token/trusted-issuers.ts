import { createResolver } from '#issuer-resolver'
import { type IssuerKeys, inlineKeys } from '../keys/issuer-keys.js'
import { remoteKeys } from '../keys/remote-keys.js'
import type { MaybePromise } from '../lib/promise.js'
import type { CompiledIssuer } from '../policy/issuer.js'
import type { Cause, Refusal } from '../refusal.js'
import type { IssuersOptions, IssuersPolicy, TrustedIssuer } from './trusted-issuer.js'

/** The issuers of a policy, and those that `resolveIssuer` returns. */
export interface Issuers {
  /** Undefined if `iss` is not trusted. Refuses with `keys_unavailable` if `resolveIssuer` fails. */
  find(iss: unknown): MaybePromise<TrustedIssuer | Refusal | undefined>
  /** The issuers of the policy. */
  readonly declared: readonly TrustedIssuer[]
  close(): void
}

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
  const { resolveIssuer } = options
  const resolver = resolveIssuer && createResolver(resolveIssuer, policy, options, createIssuer)
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
