import type { VerifierOptions } from '../options.js'
import type { CompiledIssuer, CompiledPolicy } from '../policy/compile.js'
import type { Cause } from '../refusal.js'
import { type IssuerKeys, inlineKeys } from './issuer-keys.js'
import { remoteKeys } from './remote-keys.js'

/** The keys of every issuer of the policy. */
export type KeysByIssuer = ReadonlyMap<CompiledIssuer, IssuerKeys>

export function createIssuerKeys(
  { issuers }: CompiledPolicy,
  options: VerifierOptions,
  onRefresh: (issuer: string, outcome: 'success' | 'failure') => void,
): KeysByIssuer {
  const keys = new Map<CompiledIssuer, IssuerKeys>()
  for (const issuer of issuers.values()) {
    if (issuer.jwks !== undefined) keys.set(issuer, inlineKeys(issuer.jwks))
    else {
      const remote = remoteKeys({
        ...issuer.keys,
        issuer: issuer.url,
        jwksUri: issuer.jwksUri,
        // Looked up anew, so that instrumentation which replaces the global one is used.
        fetch: options.fetch ?? ((...args) => globalThis.fetch(...args)),
        now: options.now ?? Date.now,
        onRefresh: (outcome) => onRefresh(issuer.url, outcome),
      })
      keys.set(issuer, remote)
    }
  }
  return keys
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

export async function readinessOf(keysByIssuer: KeysByIssuer): Promise<Readiness> {
  const issuers = await Promise.all(
    [...keysByIssuer].map(async ([{ url }, keys]) => ({ url, ...(await keys.ready()) })),
  )
  return { ready: issuers.every(({ ready }) => ready), issuers }
}

/** Fetches the keys of every issuer; whether all of them could be had. */
export async function refreshAll(keysByIssuer: KeysByIssuer): Promise<boolean> {
  const answers = await Promise.all([...keysByIssuer.values()].map((keys) => keys.refresh()))
  return answers.every((answer) => answer)
}
