/** Values of `typ` that are known to be no access token, whatever a policy says. */
export const otherTokenTypes = [
  'dpop+jwt',
  'logout+jwt',
  'secevent+jwt',
  'oauth-id-jag+jwt',
  'kb+jwt',
  'ajwt-delegation+jwt',
] as const

/** In a policy: a token whose header has no `typ`. */
export const noType = 'none'

/** Claims that only ID tokens, logout tokens and security events have. */
export const idTokenClaims = ['nonce', 'at_hash', 'c_hash', 's_hash', 'events'] as const
