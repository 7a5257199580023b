import type { AlgorithmName } from '../protocol/algorithms.js'
import type { ClaimConstraint } from './claim-constraint.js'
import type { ContentConstraint } from './content.js'
import type { knownServers } from './known-servers.js'
import type { HandlerLimit, Limit } from './limit.js'

export type { AlgorithmName } from '../protocol/algorithms.js'
export type { ClaimConstraint } from './claim-constraint.js'
export type { ContentConstraint } from './content.js'
export type { CostFunction, HandlerLimit, Limit } from './limit.js'

/** `ajwt`: Agentic JWT intent tokens. `oauth`: JWT access tokens (RFC 9068). */
export type Profile = 'ajwt' | 'oauth'

/** How the keys of an issuer are cached. Seconds. */
export interface KeyOptions {
  /** Maximum age of the keys. They are refreshed in the background before that. Default 300. */
  maxAge?: number
  /** The period in which unknown `kid`s cause at most four fetches. Default 30. */
  cooldown?: number
  /** How long keys are used if they cannot be refreshed. Default 3600. */
  maxStale?: number
  /** Timeout of a fetch, from the request to the end of the body. Default 5. */
  timeout?: number
}

/** The name of an authorization server in the table of known servers. */
export type KnownServerName = keyof typeof knownServers

/** An issuer whose tokens are accepted. */
export interface IssuerPolicy {
  /** The issuer identifier, compared with `iss` as a string. Optional if there is a `name`. */
  url?: string
  /** The `iss` of its tokens, if that is not `url`. Needs `jwksUri` or `jwks`. */
  name?: string
  /** Fills `profile`, `token`, `read` and `claims` from the documentation of the server. Written keys win. */
  like?: KnownServerName
  /** Replaces `audience` of the policy for this issuer. */
  audience?: string | readonly string[]
  /** The only request field for its tokens. For unbound tokens. Needs `proof.required: false`. */
  header?: string
  /** Replaces members of `token` of the policy for this issuer. */
  token?: {
    /** Allowed values of `typ`. `none` allows tokens without `typ`. Default `['at+jwt']`. */
    types?: readonly string[]
    algorithms?: readonly AlgorithmName[]
    /** Maximum seconds from `iat` to `exp`. At most 2,592,000. */
    maxLifetime?: number
    /** Tolerance for clock differences, in seconds. */
    clockTolerance?: number
  }
  /** The JSON pointers (RFC 6901) of claims in its tokens. The first that finds a value counts. */
  read?: {
    /** A string of scopes separated by spaces, or an array of scopes. Default `/scope`. */
    scope?: string | readonly string[]
    /** The id of the token. `hash`: SHA-256 of the signing input. Default `/jti`. */
    id?: string | readonly string[]
    /** The acting agent, such as `/act/sub` or `/azp`. Default: the subject. */
    agent?: string
    /** Default `/aud`. */
    audience?: string | readonly string[]
    /** Default `/sub`. */
    subject?: string | readonly string[]
  }
  /** Constraints that distinguish access tokens from other tokens of this issuer. By JSON pointer. */
  claims?: { readonly [pointer: string]: Omit<ClaimConstraint, 'param'> }
  /** The URL of the JWKS. Default without `jwks`: found by RFC 8414, then OpenID discovery. */
  jwksUri?: string
  /** The JWKS itself (RFC 7517 section 5). */
  jwks?: { keys: readonly object[] }
  /** Default `ajwt`. */
  profile?: Profile
  keys?: KeyOptions
}

/** The conditions of one route. All of them must hold. */
export interface RouteRule {
  /** The required scopes. All of them, or with `any` one of them. */
  scope?: string | readonly string[] | { any: readonly string[] }
  intent?: {
    /** The required workflow. */
    workflow: string
    /** The allowed step or steps. */
    step?: string | readonly string[]
  }
  /** The allowed agents. */
  agents?: readonly string[]
  delegation?: {
    /** Maximum number of hops. */
    maxDepth?: number
    /** The agents that may start the run. */
    initiators?: readonly string[]
    /** The allowed chains, each from initiator to executor. */
    chains?: readonly (readonly string[])[]
    /** Whether direct calls are denied. */
    required?: boolean
  }
  /** How the person behind the run was authenticated (RFC 9470). */
  user?: {
    /**
     * The allowed persons: `initiated_by` of type `user`, or the subject that an agent acts for. With
     * several issuers `<issuer url> <id>`.
     */
    sub?: readonly string[]
    /** Allowed values of `acr`. */
    acr?: readonly string[]
    /** Values that `amr` must contain. */
    amr?: readonly string[]
    /** Maximum seconds since `auth_time`. */
    maxAge?: number
  }
  /** Constraints on claims, by JSON pointer (RFC 6901). */
  claims?: { readonly [pointer: string]: ClaimConstraint }
  /**
   * Whether the option `authorize` is asked. Default `true` in `routes`, `false` in a rule of a handler.
   * `true` without the option is a mistake.
   */
  authorize?: boolean
  /** How often, or how much: all limits must hold, and a request is counted in all of them or in none. */
  limit?: Limit | readonly Limit[]
  /** Each token is accepted for one request on all routes with `once`. */
  once?: boolean
  /**
   * Requests without credentials pass without a grant. `foreign`: also those with credentials of another
   * kind.
   */
  anonymous?: boolean | 'foreign'
  /** `observe`: denials of this route are reported, and the request passes without a grant. */
  mode?: 'observe' | 'enforce'
}

/** A rule that is applied after the route's own. */
export interface LimitedRule<Request = never> extends Omit<RouteRule, 'limit'> {
  limit?: HandlerLimit<Request> | readonly HandlerLimit<Request>[]
}

/**
 * A rule of `requireIntent` or `checkIntent`. Mount a body parser in front of one with `body` or `digest`.
 */
export interface HandlerRule<Request = never> extends LimitedRule<Request> {
  /** Constraints on query parameters, by name. A parameter that comes twice is refused. */
  query?: { readonly [name: string]: ContentConstraint }
  /**
   * Whether the SHA-256 of the received content must be that in `Content-Digest` (RFC 9530) and that which
   * the token approves: `action_hash`, or `digest` in `authorization_details`, of this `type` where one is
   * given.
   */
  digest?: boolean | { type: string }
  /** Constraints on the parsed body, by JSON pointer (RFC 6901). */
  body?: { readonly [pointer: string]: ContentConstraint }
}

/** The requests that an API accepts. Plain data, so that it can be JSON. */
export interface Policy {
  /** The URL of the JSON Schema, for editors. Ignored. */
  $schema?: string
  /** The accepted issuers. URLs are https, except for loopback. */
  issuer: string | IssuerPolicy | readonly (string | IssuerPolicy)[]
  /** The names of this API in `aud`. */
  audience: string | readonly string[]
  /**
   * The URLs of the app's root as clients see it, with the path prefix that a gateway strips. `htu` of a
   * proof is compared with these, never with `Host`. Default: the origin of the first http(s) audience.
   */
  publicUrl?: string | readonly string[]
  /** Hosts that may use plain `http:` in issuers, JWKS and public URLs. `true`: all. For development. */
  allowInsecureHttp?: boolean | readonly string[]
  /** `observe`: denials are reported, and requests pass without a grant. Default `enforce`. */
  mode?: 'enforce' | 'observe'
  /**
   * The scopes that a scope includes: a token with the scope meets rules that need these. Transitive. For
   * rules only: the scopes of a delegation are compared by name.
   */
  scopes?: { readonly [scope: string]: string | readonly string[] }
  metadata?: {
    /** `scopes_supported` of the metadata. Default: every scope that a route needs. */
    scopes?: readonly string[]
    /** Whether callers are told workflows and steps, in the metadata and in challenges. Default `false`. */
    intents?: boolean
  }
  /** Whether a CORS preflight to a declared path passes without credentials. Default `false`. */
  preflight?: boolean
  /** The access for requests that match no route. Default `deny`. */
  unmatched?: 'deny' | 'authenticate' | 'public'
  token?: {
    /** Allowed values of `typ`. Default `['at+jwt']`. Issuers of draft-00 send `JWT`. */
    types?: readonly ('at+jwt' | 'JWT')[]
    /** Default: all supported algorithms. */
    algorithms?: readonly AlgorithmName[]
    /** Maximum seconds from `iat` to `exp`. Default 300. */
    maxLifetime?: number
    /** Tolerance for clock differences, in seconds. Default 5. */
    clockTolerance?: number
  }
  proof?: {
    /** `false` accepts unbound tokens of profile `oauth` as Bearer tokens. Default `true`. */
    required?: boolean
    /**
     * Algorithms of proofs and delegation assertions. Default ES256, EdDSA, Ed25519, PS256, RS256. Any
     * client can choose one of these, and the others take 9 to 20 times as long to verify.
     */
    algorithms?: readonly AlgorithmName[]
    /** Maximum seconds since `iat` of a proof. Default 60. */
    maxAge?: number
    /** Whether proofs need a nonce of this server (RFC 9449 section 9). Default `off`. */
    nonce?: 'off' | 'required'
  }
  delegation?: {
    /** Maximum number of hops. Default 4. */
    maxDepth?: number
    /** `required`: every hop of a delegation must be signed. Default `optional`. */
    signed?: 'required' | 'optional'
  }
  /** The workflows with their steps in order. */
  workflows?: {
    readonly [id: string]: { steps: readonly (string | { id: string; optional?: boolean })[] }
  }
  /** The allowed checksums and registrations of agents, for every route. Other agents are not restricted. */
  agents?: {
    readonly [id: string]: { checksums?: readonly string[]; registrationIds?: readonly string[] }
  }
  /** By `'METHOD /path'`, from the app's root. The most specific key applies, in any order. */
  routes: { readonly [route: string]: 'public' | 'authenticated' | RouteRule }
}
