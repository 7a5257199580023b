import type { Json } from './lib/json.js'
import type { DenialCode, DenialError } from './protocol/denials.js'

/** The stage at which a request was denied. Stages run in this order. */
export type Stage = 'request' | 'token' | 'revocation' | 'proof' | 'delegation' | 'rule'

/** One hop of a verified delegation. */
export interface Hop {
  /** The delegating agent. */
  readonly from: string
  /** The agent that received the delegation. */
  readonly to: string
  /** The `jti` of the assertion. */
  readonly tokenId: string
  readonly scopes: readonly string[]
  /** Seconds since the epoch. */
  readonly expiresAt: number
}

/** The caller, the party it acts for, and its permissions. A handler gets it after every check has passed. */
export interface Grant {
  /** `iss` of the token. */
  readonly issuer: string
  /** The subject of the token: `sub`, unless the issuer's entry sets `read.subject`. */
  readonly subject: string
  /** Prior actors in `act` (RFC 8693 section 4.1), latest first. Informational: not for access control. */
  readonly actors: readonly string[]
  readonly agent: {
    /** The executing agent: `sub` of an intent token. For an OAuth token, see `read.agent` of its issuer. */
    readonly id: string
    /** `agent_proof.agent_checksum`, opaque. Undefined for an OAuth token. */
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
    /** `intent.initiator_type`. Undefined if the token does not have it. */
    readonly initiatorType: 'agent' | 'user' | undefined
    readonly executedBy: string | undefined
    readonly hash: string | undefined
    /** `intent.run_id`: the workflow run of the token, as the issuer named it. */
    readonly runId: string | undefined
  }
  /** The verified hops, from the initiator on. Empty for a direct call. */
  readonly delegation: readonly Hop[]
  readonly token: {
    /** `jti`. */
    readonly id: string
    /** Seconds since the epoch. */
    readonly issuedAt: number
    /** Seconds since the epoch. */
    readonly expiresAt: number
  }
  /** All claims of the token. */
  readonly claims: { readonly [name: string]: Json }
  /** The matched path pattern of the policy. Undefined if no route matched. */
  readonly route: string | undefined
  /** The path parameters of that pattern, percent-decoded once. */
  readonly params: { readonly [name: string]: string }
}

/** The JSON body of a denial. */
export interface DenialBody {
  readonly error?: DenialError
  readonly error_description: string
  readonly code: DenialCode
}

/** A response for an adapter to send. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** JSON, or empty. */
  readonly body: string
}

/** A denied request, with the response to send. */
export interface Denial {
  readonly outcome: 'deny'
  readonly code: DenialCode
  readonly stage: Stage
  readonly status: number
  readonly error?: DenialError
  readonly description: string
  /** Response header fields. Names are in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: DenialBody
  /** The matched path pattern of the policy, if any. */
  readonly route?: string
}

/** A denial that is only reported, because the policy or the route has `mode: 'observe'`. */
export type Observation = Omit<Denial, 'outcome'> & { readonly outcome: 'observe' }

/** An allowed request. Every check passed. Set `headers` on the response. */
export interface Allowance {
  readonly outcome: 'allow'
  readonly grant: Grant
  readonly headers: Readonly<Record<string, string>>
}

/** The result for one request. Treat any `outcome` that your code does not know as `deny`. */
export type Decision =
  | Allowance
  | { readonly outcome: 'public'; readonly route?: string }
  | { readonly outcome: 'anonymous'; readonly route?: string }
  | Denial
  | Observation
