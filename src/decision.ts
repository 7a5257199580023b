import type { DenialCode, DenialError } from './protocol/denials.js'

/** The check, in order, at which a request was refused. */
export type Stage = 'request' | 'token' | 'revocation' | 'proof' | 'delegation' | 'rule'

/** JSON as it came from a verified token: frozen. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }

/** One hop of a verified delegation, from the initiator on. */
export interface Hop {
  /** The agent that delegated. */
  readonly from: string
  /** The agent that it delegated to. */
  readonly to: string
  /** The `jti` of the assertion. */
  readonly tokenId: string
  readonly scopes: readonly string[]
  /** Seconds since the epoch. */
  readonly expiresAt: number
}

/** Who called, on whose behalf and with what right: what a handler gets once every check has passed. */
export interface Grant {
  /** `iss` of the token. */
  readonly issuer: string
  /** The party that the token was issued for: `sub`, unless the issuer's entry reads another claim. */
  readonly subject: string
  /** Earlier actors of `act` (RFC 8693), the latest first: information, never authority. */
  readonly actors: readonly string[]
  readonly agent: {
    /** The agent that executes: `sub` of an intent token; of an ordinary one what the issuer's entry reads. */
    readonly id: string
    /** `agent_proof.agent_checksum`, opaque; absent from an ordinary OAuth token. */
    readonly checksum: string | undefined
    /** `agent_proof.registration_id`. */
    readonly registrationId: string | undefined
    /** RFC 7638 thumbprint of the key that the token is bound to. */
    readonly keyThumbprint: string | undefined
  }
  readonly scopes: readonly string[]
  readonly intent: {
    readonly workflowId: string | undefined
    readonly step: string | undefined
    readonly initiatedBy: string | undefined
    /** As the issuer says; undefined where it does not. */
    readonly initiatorType: 'agent' | 'user' | undefined
    readonly executedBy: string | undefined
    readonly hash: string | undefined
    /** `intent.run_id`: the run that the token belongs to, named by the issuer. */
    readonly runId: string | undefined
  }
  /** The verified hops, outermost first; empty for a direct call. */
  readonly delegation: readonly Hop[]
  readonly token: {
    /** `jti`. */
    readonly id: string
    /** Seconds since the epoch. */
    readonly issuedAt: number
    /** Seconds since the epoch. */
    readonly expiresAt: number
  }
  /** Every claim of the token. */
  readonly claims: { readonly [name: string]: Json }
  /** The path pattern of the policy that matched; absent where no route did. */
  readonly route: string | undefined
  /** The path parameters of that pattern, decoded once. */
  readonly params: { readonly [name: string]: string }
}

/** What is sent as JSON with a refusal. */
export interface DenialBody {
  readonly error?: DenialError
  readonly error_description: string
  readonly code: DenialCode
}

/** A response as an adapter sends it. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** JSON text, or empty. */
  readonly body: string
}

/** A refusal, ready to be sent. */
export interface Denial {
  readonly outcome: 'deny'
  readonly code: DenialCode
  readonly stage: Stage
  readonly status: number
  readonly error?: DenialError
  readonly description: string
  /** Response header fields, names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: DenialBody
  /** The path pattern of the policy, where one matched. */
  readonly route?: string
}

/** A refusal that is only reported, because the policy or the route says `mode: 'observe'`. */
export type Observation = Omit<Denial, 'outcome'> & { readonly outcome: 'observe' }

/** Every check passed. `headers` go on the response. */
export interface Allowance {
  readonly outcome: 'allow'
  readonly grant: Grant
  readonly headers: Readonly<Record<string, string>>
}

/** What is to be done with a request. Whatever is not one of the others is a refusal. */
export type Decision =
  | Allowance
  | { readonly outcome: 'public'; readonly route?: string }
  | { readonly outcome: 'anonymous'; readonly route?: string }
  | Denial
  | Observation
