/**
 * The allowed signature algorithms, all asymmetric (RFC 7518, RFC 8037, RFC 9864). The default for access
 * tokens.
 */
export const algorithmNames = [
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
  'RS384',
  'RS512',
] as const

/** The name of an asymmetric signature algorithm (RFC 7518, RFC 9864). */
export type AlgorithmName = (typeof algorithmNames)[number]

/**
 * The default for DPoP proofs and delegation assertions. Anyone with a token can send these, and the other
 * algorithms take 9 to 20 times as long to verify.
 */
export const defaultProofAlgorithmNames = [
  'ES256',
  'EdDSA',
  'Ed25519',
  'PS256',
  'RS256',
] as const satisfies readonly AlgorithmName[]
