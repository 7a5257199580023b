import type { IssuerKeys } from '../keys/issuer-keys.js'
import type { MaybePromise } from '../lib/promise.js'
import type { CompiledIssuer, IssuerDefaults } from '../policy/issuer.js'
import type { Refusal } from '../refusal.js'

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

/** Finds issuers that the policy does not list. */
export interface IssuerResolver {
  /** Undefined if `iss` is not trusted. Refuses with `keys_unavailable` if `resolveIssuer` fails. */
  find(iss: string): MaybePromise<TrustedIssuer | Refusal | undefined>
  close(): void
}
