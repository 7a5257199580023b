import { constants } from 'node:crypto'

/** What a JWK has to be for an algorithm, and how `node:crypto` is told to verify with it. */
export interface Algorithm {
  /** The `alg` of the header. */
  readonly name: string
  readonly kty: 'EC' | 'RSA' | 'OKP'
  readonly crv: 'P-256' | 'P-384' | 'P-521' | 'Ed25519' | undefined
  /** Bytes of each coordinate, and half the bytes of a signature; undefined for RSA. */
  readonly size: number | undefined
  readonly digest: 'sha256' | 'sha384' | 'sha512' | null
  /** Passed on beside the key. JWS signatures are the pair r, s, not DER (RFC 7518 section 3.4). */
  readonly options: {
    readonly dsaEncoding?: 'ieee-p1363'
    readonly padding?: number
    readonly saltLength?: number
  }
}

function ec(
  name: string,
  crv: 'P-256' | 'P-384' | 'P-521',
  size: number,
  digest: Algorithm['digest'],
): Algorithm {
  return { name, kty: 'EC', crv, size, digest, options: { dsaEncoding: 'ieee-p1363' } }
}

function pkcs1(name: string, digest: Algorithm['digest']): Algorithm {
  const options = { padding: constants.RSA_PKCS1_PADDING }
  return { name, kty: 'RSA', crv: undefined, size: undefined, digest, options }
}

function pss(name: string, digest: Algorithm['digest'], saltLength: number): Algorithm {
  // The salt is as long as the digest, never "whatever the signature has" (RFC 7518 section 3.5).
  const options = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }
  return { name, kty: 'RSA', crv: undefined, size: undefined, digest, options }
}

function ed25519(name: string): Algorithm {
  return { name, kty: 'OKP', crv: 'Ed25519', size: 32, digest: null, options: {} }
}

/**
 * Every algorithm that a policy can allow: asymmetric signatures only. A Map, since a lookup with a name from
 * a token must find nothing but these. EdDSA is read as Ed25519 (RFC 9864).
 */
export const algorithms: ReadonlyMap<string, Algorithm> = new Map(
  [
    ec('ES256', 'P-256', 32, 'sha256'),
    ec('ES384', 'P-384', 48, 'sha384'),
    ec('ES512', 'P-521', 66, 'sha512'),
    ed25519('EdDSA'),
    ed25519('Ed25519'),
    pss('PS256', 'sha256', 32),
    pss('PS384', 'sha384', 48),
    pss('PS512', 'sha512', 64),
    pkcs1('RS256', 'sha256'),
    pkcs1('RS384', 'sha384'),
    pkcs1('RS512', 'sha512'),
  ].map((algorithm) => [algorithm.name, algorithm]),
)

/** Two names of one thing: a key for either fits both (RFC 9864 section 2.2). */
export function isSameAlgorithm(one: string, other: string): boolean {
  return one === other || (isEdDsa(one) && isEdDsa(other))
}

function isEdDsa(name: string): boolean {
  return name === 'EdDSA' || name === 'Ed25519'
}
