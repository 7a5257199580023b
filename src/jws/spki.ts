import { Buffer } from 'node:buffer'
import { versions } from 'node:process'

/** A curve, as a SubjectPublicKeyInfo (SPKI) names it. */
interface Curve {
  /** The bytes before the coordinates. EC points are uncompressed (RFC 5480, RFC 8410 section 4). */
  readonly prefix: Buffer
  /** Bytes of each coordinate. */
  readonly size: number
  /** The first release of Node whose import and first use of a PEM take less time than those of a JWK. */
  readonly since: number
}

function curve(prefix: string, size: number, since: number): Curve {
  return { prefix: Buffer.from(prefix, 'hex'), size, since }
}

const curves: ReadonlyMap<string | undefined, Curve> = new Map([
  ['P-256', curve('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 32, 22)],
  ['P-384', curve('3076301006072a8648ce3d020106052b8104002203620004', 48, 20)],
  ['P-521', curve('30819b301006072a8648ce3d020106052b810400230381860004', 66, 20)],
  ['Ed25519', curve('302a300506032b6570032100', 32, 24)],
])

/** NaN where a runtime has no release of Node: it imports JWKs. */
const nodeRelease = Number.parseInt(versions.node, 10)

/**
 * A public JWK as PEM (RFC 7468 section 13). Undefined for RSA, and where this release of Node imports a JWK
 * faster. The import checks that a point is on its curve. Throws for a coordinate of another size: Node
 * ignores bytes after an SPKI.
 */
export function toFasterPem(
  { crv, x, y }: Readonly<Record<string, string>>,
  release = nodeRelease,
): string | undefined {
  const found = curves.get(crv)
  if (found === undefined || !(release >= found.since)) return undefined
  const bytes = [x, y].flatMap((text) => (text === undefined ? [] : [Buffer.from(text, 'base64url')]))
  if (bytes.some(({ length }) => length !== found.size)) throw new RangeError('a coordinate of another size')
  const spki = Buffer.concat([found.prefix, ...bytes])
  return `-----BEGIN PUBLIC KEY-----\n${spki.toString('base64')}\n-----END PUBLIC KEY-----`
}
