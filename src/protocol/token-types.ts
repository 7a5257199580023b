/** `typ` of a DPoP proof (RFC 9449 section 4.2). */
export const dpopProofType = 'dpop+jwt'

/** `typ` of a delegation assertion (draft-goswami-agentic-jwt-01). */
export const delegationAssertionType = 'ajwt-delegation+jwt'

/** Values of `typ` that are never accepted for access tokens, even if the policy lists them. */
export const otherTokenTypes = [
  dpopProofType,
  'logout+jwt',
  'secevent+jwt',
  'oauth-id-jag+jwt',
  'kb+jwt',
  delegationAssertionType,
  'id_token+jwt',
  'token-introspection+jwt',
  'statuslist+jwt',
  'entity-statement+jwt',
  // Assertions, attestations, requests and proofs of clients.
  'client-authentication+jwt',
  'authorization-grant+jwt',
  'oauth-client-attestation+jwt',
  'oauth-client-attestation-pop+jwt',
  'oauth-authz-req+jwt',
  'openid4vci-proof+jwt',
  'key-attestation+jwt',
  'wpt+jwt',
] as const

/** The name, in a policy, for tokens without `typ`. */
export const noType = 'none'

/** Claims of ID tokens, logout tokens and security events, which access tokens do not have. */
export const idTokenClaims = ['nonce', 'at_hash', 'c_hash', 's_hash', 'events'] as const
