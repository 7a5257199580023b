/**
 * The fast path against the plain one: tens of thousands of mutated tokens and proofs go to a verifier whose caches are
 * warm, and to `jose.jwtVerify` with a few lines around it, and both have to say the same. `DIFFERENTIAL_SEED` gives
 * other cases, `DIFFERENTIAL_CASES` more of them.
 */
import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { calculateJwkThumbprint, createLocalJWKSet, EmbeddedJWK, type JWK, jwtVerify } from 'jose'
import { describe, expect, test } from 'vitest'
import {
  AUDIENCE,
  agentKeys,
  createKit,
  ISSUER,
  issuerJwks,
  issuerKeys,
  standardAlphabet,
  type TestKey,
  withTrailingBits,
} from '../../fixtures/kit.js'
import { createVerifier } from '../../src/index.js'
import { parseJsonObject } from '../../src/jws/strict-json.js'

const seed = Number(process.env.DIFFERENTIAL_SEED ?? 1)
const cases = Number(process.env.DIFFERENTIAL_CASES ?? 12_000)
const algorithms = ['ES256', 'ES384', 'EdDSA', 'RS256']

/** Mulberry32: the same numbers for the same seed. */
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

const random = createRandom(seed)
const kit = createKit()
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

/** Text that a strict reader takes for one thing only: jose skips what is not of the alphabet, and stray bits. */
function isExact(jws: string): boolean {
  return jws.split('.').every((part) => Buffer.from(part, 'base64url').toString('base64url') === part)
}

async function plainTokenVerdict(token: string): Promise<{ sub: string; jkt: string } | undefined> {
  if (!isExact(token)) return undefined
  try {
    const { payload } = await jwtVerify<{ cnf: { jkt: string } }>(token, keys, {
      issuer: ISSUER,
      audience: AUDIENCE,
      typ: 'at+jwt',
      algorithms,
      currentDate: new Date(kit.now),
      clockTolerance: 5,
      // Makes it look at `iat`, too.
      maxTokenAge: 3600,
      requiredClaims: ['sub', 'jti', 'exp', 'cnf'],
    })
    return { sub: payload.sub as string, jkt: payload.cnf.jkt }
  } catch {
    return undefined
  }
}

async function plainProofVerdict(proof: string, token: string, jkt: string): Promise<boolean> {
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

async function ourVerdict(token: string, proof: string): Promise<string> {
  const decision = await verifier.verify({
    method: 'GET',
    url: '/orders/42',
    headers: { authorization: `DPoP ${token}`, dpop: proof },
  })
  return 'code' in decision ? decision.code : decision.outcome
}

const characters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** A JWS with something else in one place of its text. */
function mutate(jws: string, others: readonly string[]): string {
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

/** Now and then, segments that a lenient decoder reads as the same bytes, signed as they are written. */
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

/** A token of another content, signed by one of the issuer's keys, or by one that is not. */
function otherToken(): string {
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

function otherProof(token: string): string {
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

describe(`the fast path and plain jose agree (seed ${seed})`, () => {
  test('on tokens', async () => {
    const good = Array.from({ length: 20 }, () => kit.token())
    let accepted = 0
    for (let n = 0; n < cases; n++) {
      const base = random.pick(good)
      const kind = random.below(10)
      const token = kind === 0 ? base : kind < 4 ? otherToken() : mutate(base, good)
      const expected = await plainTokenVerdict(token)
      const holder = expected?.jkt === agentKeys.eight.thumbprint ? agentKeys.eight : agentKeys.seven
      const verdict = await ourVerdict(token, kit.proof({ token, key: holder }))
      expect({ token, accepted: verdict === 'allow' }, verdict).toEqual({
        token,
        accepted: expected !== undefined,
      })
      if (verdict === 'allow') accepted++
      // Nor does the proof for a token that is known help another that ends in the same way.
      if (token !== base && expected === undefined) {
        expect(await ourVerdict(token, kit.proof({ token: base })), token).not.toBe('allow')
      }
    }
    // A part of them is right, or all of this would say little.
    expect(accepted).toBeGreaterThan(cases / 20)
    expect(accepted).toBeLessThan(cases / 2)
  }, 300_000)

  test('on proofs', async () => {
    const token = kit.token()
    let accepted = 0
    for (let n = 0; n < cases; n++) {
      const base = kit.proof({ token })
      const kind = random.below(10)
      const proof = kind === 0 ? base : kind < 5 ? otherProof(token) : mutate(base, [kit.proof({ token })])
      const expected = await plainProofVerdict(proof, token, agentKeys.seven.thumbprint)
      const verdict = await ourVerdict(token, proof)
      expect({ proof, accepted: verdict === 'allow' }, verdict).toEqual({ proof, accepted: expected })
      if (verdict === 'allow') {
        accepted++
        expect(await ourVerdict(token, proof)).toBe('proof_replayed')
      }
    }
    expect(accepted).toBeGreaterThan(cases / 20)
    expect(accepted).toBeLessThan(cases / 2)
  }, 300_000)

  test('on JSON: what JSON.parse reads, where no object has a name twice', () => {
    const pieces = [
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '"a"',
      '"b"',
      '"__proto__"',
      '""',
      '1',
      '0',
      '01',
      '-1',
      '1.5',
      '1e3',
      '1e400',
    ]
    const more = [
      'true',
      'false',
      'null',
      'nul',
      ' ',
      '\\',
      '\u00e4',
      '9007199254740993',
      '999999999999999',
      '"a":',
      '{}',
      '[]',
      '":',
      '":":",',
      ',"a":2',
      '"a":1,',
      '"b" :[],',
      '"\\u0061":"",',
      ',"c": {}',
      ', "b" : ""',
      '\n',
      '\\u0061',
      '\\\\',
      '\u00c3\u00a4',
    ]
    const texts = [
      '{"a":1,"b":"x"}',
      '{"a":{"b":[1,{"c":"d"}]},"e":[]}',
      '{"iat":1,"ath":"x","ok":true,"no":null}',
      '{}',
      '{ "a" : ":" , "b" : " " }',
      '{"a":":","b":" "}',
    ]
    let read = 0
    let refused = 0
    for (let n = 0; n < 10 * cases; n++) {
      let bytes = random.pick(texts)
      for (let changes = random.below(4); changes > 0; changes--) {
        const at = random.below(bytes.length + 1)
        bytes = bytes.slice(0, at) + random.pick([...pieces, ...more]) + bytes.slice(at + random.below(3))
      }
      const { value, isReadOneWay } = plainJson(bytes)
      expect(parseJsonObject(bytes)?.members, bytes).toEqual(isReadOneWay ? value : undefined)
      if (isReadOneWay) read++
      else if (value !== undefined) refused++
    }
    expect(read).toBeGreaterThan(cases)
    expect(refused).toBeGreaterThan(cases / 100)
  })
})

/**
 * The object in a text, and whether it reads one way: each of its names stands there once, found by a pattern and one
 * Set an object, and no number is beyond a double.
 */
function plainJson(bytes: string): { value: unknown; isReadOneWay: boolean } {
  const buffer = Buffer.from(bytes, 'latin1')
  const text = buffer.toString('utf8')
  let value: unknown
  let isWithinDoubles = true
  try {
    value = JSON.parse(text)
    JSON.parse(text, (_, member) => {
      if (typeof member === 'number' && !Number.isFinite(member)) isWithinDoubles = false
      return member
    })
  } catch {
    return { value: undefined, isReadOneWay: false }
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !isUtf8(buffer)) {
    return { value: undefined, isReadOneWay: false }
  }
  const open: Set<string>[] = []
  let isOnce = true
  for (const [token, name] of text.matchAll(/[{}]|("(?:[^"\\]|\\.)*")(?=\s*:)|"(?:[^"\\]|\\.)*"/gs)) {
    if (token === '{') open.push(new Set())
    else if (token === '}') open.pop()
    else if (name !== undefined) {
      const names = open.at(-1) as Set<string>
      const text = JSON.parse(name) as string
      if (names.has(text)) isOnce = false
      names.add(text)
    }
  }
  return { value, isReadOneWay: isOnce && isWithinDoubles }
}
