/** Values of `typ` that are never accepted for access tokens, even if the policy lists them. */
export const otherTokenTypes = [
  'dpop+jwt',
  'logout+jwt',
  'secevent+jwt',
  'oauth-id-jag+jwt',
  'kb+jwt',
  'ajwt-delegation+jwt',
] as const

/** The name, in a policy, for tokens without `typ`. */
export const noType = 'none'

/** Claims of ID tokens, logout tokens and security events, which access tokens do not have. */
export const idTokenClaims = ['nonce', 'at_hash', 'c_hash', 's_hash', 'events'] as const
