import type { VerifierOptions } from '../options.js'
import type { CompiledIssuer, CompiledPolicy } from '../policy/compile.js'
import { type IssuerKeys, inlineKeys, remoteKeys } from './issuer-keys.js'

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

export async function everyIssuer(
  keys: KeysByIssuer,
  ask: (keys: IssuerKeys) => Promise<boolean>,
): Promise<boolean> {
  const answers = await Promise.all([...keys.values()].map(ask))
  return answers.every((answer) => answer)
}
