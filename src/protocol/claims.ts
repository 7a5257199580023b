/** The payload of a DPoP proof (RFC 9449 section 4.2). Times are seconds since the epoch. */
export interface DpopProofClaims {
  readonly jti: string
  readonly htm: string
  readonly htu: string
  readonly iat: number
  /** Base64url SHA-256 of the access token. Absent at the token endpoint. */
  readonly ath?: string | undefined
  readonly nonce?: string | undefined
}

/**
 * The payload of a delegation assertion (draft-goswami-agentic-jwt-01). Times are seconds since the epoch.
 */
export interface DelegationClaims {
  /** The delegator and the delegatee. */
  readonly iss: string
  readonly sub: string
  /** RFC 7638 thumbprint of the delegatee's key. */
  readonly cnf: { readonly jkt: string }
  readonly aud: string | string[]
  readonly scope: string
  readonly iat: number
  readonly exp: number
  readonly jti: string
  readonly workflow_id?: string | undefined
  readonly intent_hash?: string | undefined
  /** Base64url SHA-256 of the assertion before it. Absent in the first. */
  readonly prev?: string | undefined
}
