/**
 * Compares a verifier with warm caches with `jose.jwtVerify` on tens of thousands of mutated tokens and
 * proofs. Set `DIFFERENTIAL_SEED` for other cases, and `DIFFERENTIAL_CASES` for more of them.
 */
import { createHash } from 'node:crypto'
import { calculateJwkThumbprint, createLocalJWKSet, EmbeddedJWK, type JWK, jwtVerify } from 'jose'
import { standardAlphabet, withTrailingBits } from '../../fixtures/jws-spellings.js'
import {
  AUDIENCE,
  agentKeys,
  createKit,
  ISSUER,
  issuerJwks,
  issuerKeys,
  type TestKey,
} from '../../fixtures/kit.js'
import { createVerifier } from '../../src/index.js'

export const seed = Number(process.env.DIFFERENTIAL_SEED ?? 1)
export const cases = Number(process.env.DIFFERENTIAL_CASES ?? 12_000)
const algorithms = ['ES256', 'ES384', 'EdDSA', 'RS256']

/** Mulberry32, a generator with a seed. */
function createRandom(start: number) {
  let state = start
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (bound: number) => Math.floor(next() * bound)
  return { below, pick: <T>(items: readonly T[]): T => items[below(items.length)] as T }
}

export const random = createRandom(seed)
export const kit = createKit()
const verifier = createVerifier(
  {
    issuer: { url: ISSUER, jwks: issuerJwks() as never },
    audience: AUDIENCE,
    token: { algorithms: algorithms as never },
    proof: { algorithms: algorithms as never },
    routes: { 'GET /orders/:id': 'authenticated' },
  },
  { now: () => kit.now },
)
const keys = createLocalJWKSet(issuerJwks() as { keys: JWK[] })

/**
 * Whether the base64url is canonical. jose ignores characters outside the alphabet and nonzero unused bits.
 */
function isExact(jws: string): boolean {
  return jws.split('.').every((part) => Buffer.from(part, 'base64url').toString('base64url') === part)
}

export async function plainTokenVerdict(token: string): Promise<{ sub: string; jkt: string } | undefined> {
  if (!isExact(token)) return undefined
  try {
    const { payload } = await jwtVerify<{ cnf: { jkt: string } }>(token, keys, {
      issuer: ISSUER,
      audience: AUDIENCE,
      typ: 'at+jwt',
      algorithms,
      currentDate: new Date(kit.now),
      clockTolerance: 5,
      // Makes jose check `iat`, too.
      maxTokenAge: 3600,
      requiredClaims: ['sub', 'jti', 'exp', 'cnf'],
    })
    return { sub: payload.sub as string, jkt: payload.cnf.jkt }
  } catch {
    return undefined
  }
}

export async function plainProofVerdict(proof: string, token: string, jkt: string): Promise<boolean> {
  if (!isExact(proof)) return false
  try {
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
      typ: 'dpop+jwt',
      algorithms,
      currentDate: new Date(kit.now),
      clockTolerance: 5,
      requiredClaims: ['jti', 'iat'],
    })
    const age = kit.seconds - (payload.iat as number)
    return (
      payload.ath === createHash('sha256').update(token).digest('base64url') &&
      payload.htm === 'GET' &&
      payload.htu === `${AUDIENCE}/orders/42` &&
      age <= 60 &&
      age >= -5 &&
      (await calculateJwkThumbprint(protectedHeader.jwk as JWK)) === jkt
    )
  } catch {
    return false
  }
}

export async function ourVerdict(token: string, proof: string): Promise<string> {
  const decision = await verifier.verify({
    method: 'GET',
    url: '/orders/42',
    headers: { authorization: `DPoP ${token}`, dpop: proof },
  })
  return 'code' in decision ? decision.code : decision.outcome
}

const characters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** Changes one place of a JWS. */
export function mutate(jws: string, others: readonly string[]): string {
  const at = random.below(jws.length)
  const parts = jws.split('.')
  const part = random.below(3)
  switch (random.below(12)) {
    case 0:
    case 1:
    case 2:
      return jws.slice(0, at) + random.pick([...characters]) + jws.slice(at + 1)
    case 3:
      return jws.slice(0, at) + jws.slice(at + 1)
    case 4:
      return jws.slice(0, at) + random.pick([...characters]) + jws.slice(at)
    case 5:
      return (
        jws.slice(0, at) +
        random.pick(['=', '+', '/', '.', '%', '~', '\t', '\u00e4', '\u0141']) +
        jws.slice(at + 1)
      )
    case 6:
      return jws.slice(0, -1) + random.pick([...characters])
    case 7:
      return jws + random.pick(['=', '==', 'A', '.', '.A'])
    case 8:
      parts[part] = random.pick(others).split('.')[part] as string
      return parts.join('.')
    case 9:
      ;[parts[part], parts[(part + 1) % 3]] = [parts[(part + 1) % 3] as string, parts[part] as string]
      return parts.join('.')
    case 10:
      parts[part] = Buffer.from(`${Buffer.from(parts[part] as string, 'base64url')} `).toString('base64url')
      return parts.join('.')
    default:
      return jws.slice(0, random.below(jws.length))
  }
}

/** Sometimes re-spells a segment before it is signed, so that a lenient decoder returns the same bytes. */
function otherSpelling() {
  const change = random.pick([
    (segment: string) => `${segment}=`,
    (segment: string) => withTrailingBits(segment) ?? segment,
    (segment: string) => standardAlphabet(segment),
    (segment: string) => `${segment.slice(0, 5)} ${segment.slice(5)}`,
  ])
  const place = random.below(2)
  return random.below(8) > 0
    ? {}
    : { respell: (segment: string, index: number) => (index === place ? change(segment) : segment) }
}

/** A token with other content, signed with a key of the issuer or with an unknown key. */
export function otherToken(): string {
  const key = random.pick<TestKey>([
    issuerKeys.es256,
    issuerKeys.es384,
    issuerKeys.eddsa,
    issuerKeys.rs256,
    issuerKeys.stranger,
  ])
  const { seconds } = kit
  const claims = random.pick<Record<string, unknown>>([
    {},
    { exp: seconds + random.pick([-6, -5, -4, 0, 100]), iat: seconds - 100 },
    { iat: seconds + random.pick([4, 5, 6, 7]), exp: seconds + 200 },
    { nbf: seconds + random.pick([-1, 4, 5, 6, 50]) },
    { aud: random.pick<unknown>([[AUDIENCE], ['https://other.example.com'], [], '', `${AUDIENCE}/`]) },
    { iss: random.pick([`${ISSUER}/`, 'https://other.example.com', '']) },
    { cnf: { jkt: random.pick([agentKeys.seven, agentKeys.eight]).thumbprint } },
    { note: 'a"b\\c\u00e4\u{1f600}' },
    { nested: { of: [{ many: [1, 2.5, -3, true, null] }] } },
  ])
  const header = random.pick<Record<string, unknown>>([
    {},
    {},
    { typ: random.pick(['JWT', 'application/at+jwt', 'dpop+jwt']) },
    { alg: random.pick(['none', 'HS256', 'ES512', 'PS256', 'es256']) },
    { kid: random.pick([issuerKeys.es384.kid, 'unknown']) },
    { crit: ['exp'] },
  ])
  return kit.token({ key, claims, header, ...otherSpelling() })
}

export function otherProof(token: string): string {
  const key = random.pick([agentKeys.seven, agentKeys.seven, agentKeys.eight, agentKeys.eddsa])
  const claims = random.pick<Record<string, unknown>>([
    {},
    { htm: random.pick(['POST', 'get']) },
    { htu: random.pick([`${AUDIENCE}/orders/43`, `${AUDIENCE}.evil.example/orders/42`, '/orders/42']) },
    { iat: kit.seconds + random.pick([-61, -60, -1, 5, 6]) },
    { ath: createHash('sha256').update('other').digest('base64url') },
    { nbf: kit.seconds + random.pick([-1, 5, 6]) },
    { exp: kit.seconds + random.pick([-6, -5, -4, 1]) },
    { nonce: 'whatever' },
  ])
  const header = random.pick<Record<string, unknown>>([
    {},
    {},
    { typ: random.pick(['JWT', 'at+jwt']) },
    { alg: random.pick(['none', 'HS256', 'ES384']) },
    { jwk: random.pick([agentKeys.seven, agentKeys.eight]).jwk },
    { crit: ['jwk'] },
  ])
  return kit.proof({ token, key, claims, header, ...otherSpelling() })
}
