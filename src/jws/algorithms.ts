import { type AlgorithmName, algorithmNames } from '../protocol/algorithms.js'

/** The JWK that an algorithm needs, and how `node:crypto` verifies with it. */
export interface Algorithm {
  /** The `alg` of the header. */
  readonly name: AlgorithmName
  readonly kty: 'EC' | 'RSA' | 'OKP'
  readonly crv: 'P-256' | 'P-384' | 'P-521' | 'Ed25519' | undefined
  /** Bytes of each coordinate, and half the bytes of a signature; undefined for RSA. */
  readonly size: number | undefined
  readonly digest: 'sha256' | 'sha384' | 'sha512' | null
  /** Options of `node:crypto` besides the key. Undefined except for PSS. */
  readonly pss: { readonly padding: number; readonly saltLength: number } | undefined
}

type Parameters = Omit<Algorithm, 'name'>

/** RSA_PKCS1_PSS_PADDING of `node:crypto`, which not every runtime has. */
const pssPadding = 6

function ec(crv: 'P-256' | 'P-384' | 'P-521', size: number, digest: Algorithm['digest']): Parameters {
  return { kty: 'EC', crv, size, digest, pss: undefined }
}

function pkcs1(digest: Algorithm['digest']): Parameters {
  return { kty: 'RSA', crv: undefined, size: undefined, digest, pss: undefined }
}

function pss(digest: Algorithm['digest'], saltLength: number): Parameters {
  // The salt is as long as the digest, never as long as the signature says (RFC 7518 section 3.5).
  return { kty: 'RSA', crv: undefined, size: undefined, digest, pss: { padding: pssPadding, saltLength } }
}

const ed25519: Parameters = { kty: 'OKP', crv: 'Ed25519', size: 32, digest: null, pss: undefined }

/** EdDSA is read as Ed25519 (RFC 9864). */
const parameters: { readonly [Name in AlgorithmName]: Parameters } = {
  ES256: ec('P-256', 32, 'sha256'),
  ES384: ec('P-384', 48, 'sha384'),
  ES512: ec('P-521', 66, 'sha512'),
  EdDSA: ed25519,
  Ed25519: ed25519,
  PS256: pss('sha256', 32),
  PS384: pss('sha384', 48),
  PS512: pss('sha512', 64),
  RS256: pkcs1('sha256'),
  RS384: pkcs1('sha384'),
  RS512: pkcs1('sha512'),
}

/** Every algorithm that a policy can allow. A Map, so that `alg: "constructor"` finds nothing. */
export const algorithms: ReadonlyMap<string, Algorithm> = new Map(
  algorithmNames.map((name) => [name, { name, ...parameters[name] }]),
)

/** EdDSA and Ed25519 name the same algorithm here (RFC 9864 section 2.2). */
export function isSameAlgorithm(one: string, other: string): boolean {
  return one === other || (isEdDsa(one) && isEdDsa(other))
}

function isEdDsa(name: string): boolean {
  return name === 'EdDSA' || name === 'Ed25519'
}
