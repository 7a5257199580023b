import type { AlgorithmName } from '../protocol/algorithms.js'
import type { ClaimConstraint } from './claim-constraint.js'

/** The keys that `like` fills in at an issuer's entry of the policy. */
export interface KnownServer {
  readonly profile: 'ajwt' | 'oauth'
  /**
   * `maxLifetime`, in seconds: the longest documented lifetime, or the default of a server without a limit.
   */
  readonly token: {
    readonly types: readonly string[]
    readonly maxLifetime: number
    readonly algorithms?: readonly AlgorithmName[]
  }
  /** The server's claims for scope, id, agent, audience and subject: JSON pointers, or `hash` for `id`. */
  readonly read?: {
    readonly scope?: string | readonly string[]
    readonly id?: string | readonly string[]
    readonly agent?: string
    readonly audience?: string | readonly string[]
    readonly subject?: string | readonly string[]
  }
  /** Tells the server's access tokens from its ID tokens, where the `typ` of the header does not. */
  readonly claims?: { readonly [pointer: string]: ClaimConstraint }
  /** `claims` of the issuers whose `iss` begins with `prefix`, in place of those above. */
  readonly variants?: readonly {
    readonly prefix: string
    readonly claims: { readonly [pointer: string]: ClaimConstraint }
  }[]
}

/** The access tokens of known authorization servers, by the names that `like` takes. */
export const knownServers = {
  keycloak: {
    profile: 'oauth',
    // The default; at+jwt is a setting of the client. The claim typ stays the same under both.
    token: { types: ['at+jwt', 'JWT'], maxLifetime: 300 },
    // ID, Refresh, Offline and Logout tokens are signed with the same key.
    claims: { '/typ': { in: ['Bearer', 'DPoP'] } },
  },
  auth0: {
    profile: 'oauth',
    // The default of an API is 24 hours, the maximum 30 days.
    token: { types: ['at+jwt', 'JWT'], maxLifetime: 2_592_000 },
    // The default profile has no jti, and no claim that ID tokens lack: the audience has to be a URI.
    read: { id: 'hash' },
  },
  okta: {
    profile: 'oauth',
    token: { types: ['none'], maxLifetime: 3600 },
    read: { scope: '/scp' },
    // ID tokens have the client id in aud alone.
    claims: { '/cid': { exists: true } },
  },
  entra: {
    profile: 'oauth',
    // 28 hours with continuous access evaluation, otherwise 60 to 90 minutes.
    token: { types: ['JWT'], maxLifetime: 100_800 },
    read: { id: '/uti', scope: '/scp' },
    // Access tokens alone say how the client authenticated. ID tokens have tid and ver as well.
    claims: { '/tid': { exists: true }, '/azpacr': { exists: true } },
    // Version 1.0 has another issuer, and appidacr in place of azpacr.
    variants: [
      {
        prefix: 'https://sts.windows.net/',
        claims: { '/tid': { exists: true }, '/appidacr': { exists: true } },
      },
    ],
  },
  cognito: {
    profile: 'oauth',
    token: { types: ['none'], maxLifetime: 3600 },
    // aud exists only if the client asked for a resource. It then decides alone.
    read: { audience: ['/aud', '/client_id'] },
    claims: { '/token_use': { equals: 'access' } },
  },
  google: {
    profile: 'oauth',
    // ID tokens of service accounts, which are what Google documents for calls between services.
    token: { types: ['JWT'], maxLifetime: 3600 },
    read: { id: 'hash' },
  },
  pingone: {
    profile: 'oauth',
    token: { types: ['at+jwt', 'none'], maxLifetime: 3600 },
    // Tokens of the client credentials grant have no sub.
    read: { subject: ['/sub', '/client_id'] },
    claims: { '/client_id': { exists: true } },
  },
  curity: {
    profile: 'oauth',
    token: { types: ['at+jwt', 'none'], maxLifetime: 300 },
    claims: { '/purpose': { equals: 'access_token' } },
  },
  duende: {
    profile: 'oauth',
    token: { types: ['at+jwt'], maxLifetime: 3600 },
    // Tokens of the client credentials grant have no sub.
    read: { subject: ['/sub', '/client_id'] },
  },
  zitadel: {
    profile: 'oauth',
    token: { types: ['JWT'], maxLifetime: 43_200 },
    // The library that signs both sets these two in access tokens and not in ID tokens.
    claims: { '/jti': { exists: true }, '/nbf': { exists: true } },
  },
  authentik: {
    profile: 'oauth',
    token: { types: ['JWT'], maxLifetime: 300 },
    read: { id: 'hash' },
    // An access token is the ID token with these two added.
    claims: { '/azp': { exists: true }, '/uid': { exists: true } },
  },
  authelia: {
    profile: 'oauth',
    token: { types: ['at+jwt'], maxLifetime: 3600 },
  },
  hydra: {
    profile: 'oauth',
    token: { types: ['JWT'], maxLifetime: 3600 },
    // strategies.jwt.scope_claim: an array in scp (the default), a string in scope, or both.
    read: { scope: ['/scope', '/scp'] },
    claims: { '/client_id': { exists: true } },
  },
  fusionauth: {
    profile: 'oauth',
    token: { types: ['JWT'], maxLifetime: 3600 },
    // ID tokens do not have it since version 1.24, to tell the two apart.
    claims: { '/applicationId': { exists: true } },
  },
  workos: {
    profile: 'oauth',
    token: { types: ['none'], maxLifetime: 300 },
    // The session or, in tokens of Connect, the consent. M2M tokens and ID tokens have none.
    claims: { '/sid': { exists: true } },
  },
  clerk: {
    profile: 'oauth',
    token: { types: ['at+jwt'], maxLifetime: 86_400 },
  },
  descope: {
    profile: 'oauth',
    token: { types: ['JWT'], maxLifetime: 600 },
    read: { id: 'hash' },
    // Refresh tokens have DSR.
    claims: { '/drn': { equals: 'DS' } },
  },
  stytch: {
    profile: 'oauth',
    token: { types: ['JWT'], maxLifetime: 3600 },
    // ID tokens of connected apps have no scope, and neither have session tokens.
    claims: { '/scope': { exists: true } },
  },
  supabase: {
    profile: 'oauth',
    token: { types: ['JWT'], maxLifetime: 3600 },
    read: { id: 'hash' },
    // Every session token has both. The anon and service_role keys have no session.
    claims: { '/session_id': { exists: true }, '/role': { exists: true } },
  },
  logto: {
    profile: 'oauth',
    token: { types: ['at+jwt'], maxLifetime: 3600 },
  },
  'better-auth': {
    profile: 'oauth',
    token: { types: ['at+jwt'], maxLifetime: 3600 },
  },
  'cloudflare-access': {
    profile: 'oauth',
    token: { types: ['JWT'], maxLifetime: 86_400 },
    read: { id: 'hash' },
    // The global session token has "org".
    claims: { '/type': { equals: 'app' } },
  },
  kubernetes: {
    profile: 'oauth',
    // Projected tokens. Tokens of a secret never expire: they have neither exp nor iat.
    token: { types: ['none'], maxLifetime: 3600 },
    claims: { '/kubernetes.io/serviceaccount/name': { exists: true } },
  },
  'github-actions': {
    profile: 'oauth',
    token: { types: ['JWT'], maxLifetime: 300 },
    claims: { '/repository': { exists: true } },
  },
  gitlab: {
    profile: 'oauth',
    // Valid until the job times out, by default after an hour.
    token: { types: ['JWT'], maxLifetime: 3600 },
    // The same issuer signs ID tokens of people.
    claims: { '/project_path': { exists: true }, '/job_id': { exists: true } },
  },
  auth51: {
    profile: 'ajwt',
    token: { types: ['JWT'], maxLifetime: 300 },
  },
} as const satisfies Record<string, KnownServer>

/** The name of a known authorization server. */
export type KnownServerName = keyof typeof knownServers
