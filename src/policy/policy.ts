import type { AlgorithmName } from '../protocol/algorithms.js'
import type { ClaimConstraint } from './claim-constraint.js'
import type { knownServers } from './known-servers.js'

export type { AlgorithmName } from '../protocol/algorithms.js'
export type { ClaimConstraint } from './claim-constraint.js'

/** `ajwt`: an Agentic JWT intent token. `oauth`: an ordinary JWT access token (RFC 9068). */
export type Profile = 'ajwt' | 'oauth'

/** How the keys of an issuer are kept. Seconds. */
export interface KeyOptions {
  /** Keys older than this are fetched again in the background. Default 300. */
  maxAge?: number
  /** The shortest time between two fetches for an unknown `kid`. Default 30. */
  cooldown?: number
  /** How long keys are kept through an outage of the issuer. Default 3600. */
  maxStale?: number
  /** How long a fetch may take, all of it. Default 5. */
  timeout?: number
}

/** The name of an authorization server whose tokens are known. */
export type KnownServerName = keyof typeof knownServers

/** An issuer whose tokens are accepted. */
export interface IssuerPolicy {
  /** The issuer identifier, compared with `iss` as a string. Can be left out where `name` is there. */
  url?: string
  /** The `iss` of its tokens where that is not `url`. Needs `jwksUri` or `jwks`. */
  name?: string
  /** Fills `profile`, `token`, `read` and `claims` with what the server's documentation says. Written keys win. */
  like?: KnownServerName
  /** Instead of the policy's. */
  audience?: string | readonly string[]
  /** The request field that its tokens come in, and in no other. For unbound tokens; needs `proof.required: false`. */
  header?: string
  /** Instead of the policy's, for this issuer alone. */
  token?: {
    /** Values of `typ`; `none` accepts a token without one. Default `['at+jwt']`. */
    types?: readonly string[]
    algorithms?: readonly AlgorithmName[]
    /** The most seconds from `iat` to `exp`, up to 2,592,000. */
    maxLifetime?: number
    /** Seconds by which clocks may differ. */
    clockTolerance?: number
  }
  /** Where its tokens have their claims: JSON pointers (RFC 6901), the first that finds something counts. */
  read?: {
    /** A string of scopes separated by blanks, or an array of scopes. Default `/scope`. */
    scope?: string | readonly string[]
    /** The id of the token, or `hash`: SHA-256 of the signing input. Default `/jti`. */
    id?: string | readonly string[]
    /** The acting agent, such as `/act/sub` or `/azp`. Default: the subject. */
    agent?: string
    /** Default `/aud`. */
    audience?: string | readonly string[]
    /** Default `/sub`. */
    subject?: string | readonly string[]
  }
  /** Constraints that every token of this issuer has to meet, by JSON pointer: they tell access tokens from others. */
  claims?: { readonly [pointer: string]: Omit<ClaimConstraint, 'param'> }
  /** Where the JWKS is. Without it and `jwks` it is found through RFC 8414, then OpenID discovery. */
  jwksUri?: string
  /** The keys themselves (RFC 7517 section 5). */
  jwks?: { keys: readonly object[] }
  /** Default `ajwt`. */
  profile?: Profile
  keys?: KeyOptions
}

/** What a request has to show for one route. Every named condition must hold. */
export interface RouteRule {
  /** Scopes that the token needs, all of them; or, as `any`, one of them. */
  scope?: string | readonly string[] | { any: readonly string[] }
  intent?: {
    /** The workflow that the token has to be for. */
    workflow: string
    /** The step, or the steps, that it has to be for. */
    step?: string | readonly string[]
  }
  /** The agents (`sub`) that may call. */
  agents?: readonly string[]
  delegation?: {
    /** The most hops. */
    maxDepth?: number
    /** Who may have set the run going. */
    initiators?: readonly string[]
    /** The only chains that may call, each from initiator to executor. */
    chains?: readonly (readonly string[])[]
    /** Whether a direct call is refused. */
    required?: boolean
  }
  /** How the person behind the run was authenticated (RFC 9470). */
  user?: {
    /** The person is one of these: `initiated_by` of type `user`, or the subject that another agent acts for. With several issuers `<issuer url> <id>`. */
    sub?: readonly string[]
    /** `acr` is one of these. */
    acr?: readonly string[]
    /** `amr` has every one of these. */
    amr?: readonly string[]
    /** The most seconds since `auth_time`. */
    maxAge?: number
  }
  /** Constraints on claims, by JSON pointer (RFC 6901). */
  claims?: { readonly [pointer: string]: ClaimConstraint }
  /** The token is good for one request on all routes with `once`. */
  once?: boolean
  /** A request with no credentials at all goes on without a grant; `foreign`: also one with credentials of another kind. */
  anonymous?: boolean | 'foreign'
  /** `observe` reports what this route would refuse, and lets it through without a grant. */
  mode?: 'observe' | 'enforce'
}

/** Which requests reach the API: plain data, JSON can hold it. */
export interface Policy {
  /** For editors: the URL of the JSON Schema. Ignored. */
  $schema?: string
  /** The issuer or issuers whose tokens are accepted: https, loopback excepted. */
  issuer: string | IssuerPolicy | readonly (string | IssuerPolicy)[]
  /** The names of this API in `aud`. */
  audience: string | readonly string[]
  /**
   * The URLs under which clients see the app's root, with the path prefix that a gateway strips, if any. A
   * proof's `htu` is compared with these, never with `Host`. Default: the origin of the first http(s) audience.
   */
  publicUrl?: string | readonly string[]
  /** Hosts for which plain `http:` is accepted in issuers, key sets and public URLs; `true`: all. For development. */
  allowInsecureHttp?: boolean | readonly string[]
  /** `observe` reports every denial and refuses nothing. Default `enforce`. */
  mode?: 'enforce' | 'observe'
  /** Whether a CORS preflight to a declared path passes without credentials. Default `false`. */
  preflight?: boolean
  /** What a request gets that no route names. Default `deny`. */
  unmatched?: 'deny' | 'authenticate' | 'public'
  token?: {
    /** Values of `typ`. Default `['at+jwt']`; draft-00 issuers still send `JWT`. */
    types?: readonly ('at+jwt' | 'JWT')[]
    /** Default: every algorithm this library knows. */
    algorithms?: readonly AlgorithmName[]
    /** The most seconds from `iat` to `exp`. Default 300. */
    maxLifetime?: number
    /** Seconds by which clocks may differ. Default 5. */
    clockTolerance?: number
  }
  proof?: {
    /** `false` lets an unbound token in as Bearer under profile `oauth`. Default `true`. */
    required?: boolean
    /**
     * Algorithms of proofs and delegation assertions. Default ES256, EdDSA, Ed25519, PS256, RS256: the others cost 9 to
     * 20 times as much to verify, and anyone with a token can send them.
     */
    algorithms?: readonly AlgorithmName[]
    /** The most seconds since a proof's `iat`. Default 60. */
    maxAge?: number
    /** Whether a proof needs a nonce of this server (RFC 9449 section 9). Default `off`. */
    nonce?: 'off' | 'required'
  }
  delegation?: {
    /** The most hops of a delegation. Default 4. */
    maxDepth?: number
    /** `required` refuses every delegation that is not signed hop by hop. Default `optional`. */
    signed?: 'required' | 'optional'
  }
  /** The workflows that are known here, their steps in order. */
  workflows?: {
    readonly [id: string]: { steps: readonly (string | { id: string; optional?: boolean })[] }
  }
  /** Agents that have to be of these versions or registrations, on every route. */
  agents?: {
    readonly [id: string]: { checksums?: readonly string[]; registrationIds?: readonly string[] }
  }
  /** `'METHOD /path'`, written from the app's root. The most specific key wins, whatever the order. */
  routes: { readonly [route: string]: 'public' | 'authenticated' | RouteRule }
}
