// The one list of signature algorithms. Names alone, so that every end can import it without sharing any code that verifies.

/** Asymmetric signatures only (RFC 7518, RFC 8037, RFC 9864); the default for access tokens. */
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

/** The name of a signature algorithm (RFC 7518, RFC 9864): asymmetric ones only. */
export type AlgorithmName = (typeof algorithmNames)[number]

/**
 * The default for DPoP proofs and delegation assertions, which anyone with a token can send: the others cost 9 to 20
 * times as much to verify.
 */
export const defaultProofAlgorithmNames = [
  'ES256',
  'EdDSA',
  'Ed25519',
  'PS256',
  'RS256',
] as const satisfies readonly AlgorithmName[]
