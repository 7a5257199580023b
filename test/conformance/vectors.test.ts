import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { sha256 } from '#runtime'
import { isSignedBy } from '#signature'
import rfc7515 from '../../fixtures/vectors/rfc7515.json' with { type: 'json' }
import rfc7638 from '../../fixtures/vectors/rfc7638.json' with { type: 'json' }
import rfc8037 from '../../fixtures/vectors/rfc8037.json' with { type: 'json' }
import rfc9449 from '../../fixtures/vectors/rfc9449.json' with { type: 'json' }
import wycheproof from '../../fixtures/vectors/wycheproof.json' with { type: 'json' }
import { compilePolicy } from '../../src/compile/compile-policy.js'
import { createProofVerifier } from '../../src/dpop/proof.js'
import { algorithms } from '../../src/jws/algorithms.js'
import { decodeBase64url, isExact } from '../../src/jws/base64url.js'
import { importPublicKey } from '../../src/jws/jwk.js'
import { readCompact, readHeader, splitCompact } from '../../src/jws/jws.js'
import { readKeySet } from '../../src/keys/key-set.js'
import { ownMember } from '../../src/lib/objects.js'
import { isSimplePath } from '../../src/request/path.js'

type Jwk = Record<string, unknown>

/** Whether a JWS, whatever its payload is, verifies under one of these keys. */
async function verifies(text: string, keys: readonly Jwk[]): Promise<boolean> {
  const segments = splitCompact(text, 16 * 1024)
  if (segments === undefined) return false
  const header = readHeader(segments.header)
  if (header === undefined || !isExact(segments.signature) || !isExact(segments.payload)) return false
  const algorithm = algorithms.get(header.alg)
  if (algorithm === undefined) return false
  const kid = ownMember(header.members, 'kid')
  const candidates = readKeySet({ keys })?.select(kid as string | undefined, algorithm) ?? []
  const input = `${segments.header}.${segments.payload}`
  for (const { key } of candidates) {
    if (key !== undefined && (await isSignedBy(key, algorithm, input, segments.signature))) return true
  }
  return false
}

describe('RFC 7515, appendices A and E', () => {
  for (const vector of rfc7515.vectors) {
    const keys = 'jwk' in vector ? [vector.jwk as Jwk] : []
    test(`${vector.section} (${vector.alg}): ${vector.expect}`, async () => {
      expect(await verifies(vector.jws, keys)).toBe(vector.expect.startsWith('verifies'))
    })
  }

  test('A.4: a payload that is no JSON object is no token', () => {
    const { jws } = rfc7515.vectors.find(({ section }) => section === 'A.4') as { jws: string }
    expect(readCompact(jws, 16 * 1024)).toBeUndefined()
  })

  test('A.3: the claims are those of the RFC', () => {
    const { jws } = rfc7515.vectors.find(({ section }) => section === 'A.3') as { jws: string }
    const claims = { iss: 'joe', exp: 1300819380, 'http://example.com/is_root': true }
    expect(readCompact(jws, 16 * 1024)?.payload).toEqual(claims)
  })
})

describe('thumbprints', () => {
  test('RFC 7638 section 3.1', () => {
    expect(importPublicKey(rfc7638.jwk)?.thumbprint).toBe(rfc7638.thumbprint)
  })

  test('RFC 8037 appendix A.3', () => {
    expect(importPublicKey(rfc8037.jwk)?.thumbprint).toBe(rfc8037.thumbprint)
  })

  test('RFC 9449 section 6.1', () => {
    expect(importPublicKey(rfc9449.jwk)?.thumbprint).toBe(rfc9449.thumbprint)
    expect(rfc9449.jwtAccessToken.claims.cnf.jkt).toBe(rfc9449.thumbprint)
  })
})

test('RFC 8037 appendix A.4: the signature verifies, and no other does', async () => {
  expect(await verifies(rfc8037.jws, [rfc8037.jwk])).toBe(true)
  expect(await verifies(rfc8037.jws.replace('.hgy', '.hgz'), [rfc8037.jwk])).toBe(false)
  expect(await verifies(rfc8037.jws.replace('RXh', 'RXi'), [rfc8037.jwk])).toBe(false)
})

describe('RFC 9449, examples', () => {
  const policy = compilePolicy({
    issuer: 'https://server.example.com',
    audience: ['https://resource.example.org', 'https://server.example.com'],
    publicUrl: ['https://resource.example.org', 'https://server.example.com'],
    routes: {},
  })
  const { proof, accessToken, claims } = rfc9449.resourceProof
  const target = {
    keyThumbprint: rfc9449.thumbprint,
    hash: sha256(accessToken),
    method: 'GET',
    path: '/protectedresource',
    now: 1_562_262_618,
  }
  const verifyProof = async (text: string, over: Partial<typeof target> = {}) => {
    const { keyThumbprint, hash, method, path, now } = { ...target, ...over }
    return createProofVerifier(
      policy,
      0,
      isSignedBy,
    )(text, {
      bound: { hash, token: { keyThumbprint } },
      request: { method, path, isSimplePath: isSimplePath(path) },
      now,
    })
  }

  test('section 7.1: ath is the hash of the access token', () => {
    expect(sha256(accessToken)).toBe(claims.ath)
  })

  test('section 7.1: the proof is right for its request, at its time', async () => {
    expect(await verifyProof(proof)).toMatchObject({ jti: claims.jti, iat: claims.iat })
  })

  test('section 7.1: the proof is right for nothing else', async () => {
    expect(await verifyProof(proof, { method: 'POST' })).toMatchObject({ code: 'proof_method_mismatch' })
    expect(await verifyProof(proof, { path: '/protected' })).toMatchObject({ code: 'proof_uri_mismatch' })
    expect(await verifyProof(proof, { hash: sha256('other') })).toMatchObject({
      code: 'proof_token_mismatch',
    })
    expect(await verifyProof(proof, { keyThumbprint: rfc7638.thumbprint })).toMatchObject({
      code: 'proof_key_mismatch',
    })
    expect(await verifyProof(proof, { now: target.now + 61 })).toMatchObject({ code: 'proof_stale' })
    expect(await verifyProof(proof, { now: target.now - 6 })).toMatchObject({ code: 'proof_stale' })
    expect(await verifyProof(proof.replace(/A$/, 'B'))).toMatchObject({ code: 'proof_malformed' })
    expect(await verifyProof(proof.replace(/pLjA$/, 'pLiA'))).toMatchObject({
      code: 'proof_signature_invalid',
    })
  })

  test('section 4.1: a proof for a token endpoint names no access token, and so is none here', async () => {
    const at = { method: 'POST', path: '/token', now: 1_562_262_616 }
    expect(await verifyProof(rfc9449.tokenEndpointProof.proof, at)).toMatchObject({ code: 'proof_malformed' })
  })

  test('section 6.1: the JWT access token is read, and has none of the typ that RFC 9068 asks for', () => {
    const { token, header, claims } = rfc9449.jwtAccessToken
    const read = readCompact(token, 16 * 1024)
    expect(read?.header.members).toEqual(header)
    expect(read?.payload).toEqual(claims)
    expect(read?.header.typ).toBeUndefined()
  })
})

interface WycheproofGroup {
  readonly comment: string
  readonly key: Jwk | { readonly keys: readonly Jwk[] }
  readonly tests: readonly { tcId: number; comment: string; jws: string; result: string }[]
}

function keysOf({ key }: WycheproofGroup): readonly Jwk[] {
  return 'keys' in key ? (key.keys as Jwk[]) : [key as Jwk]
}

const hmac = 'HMAC is never verified with what a JWKS holds'
const empty = 'no token has an empty payload'
const otherAlgorithm = 'mislabelled: its key is for another algorithm'
const noAlgorithm = 'mislabelled: "ES521" is no algorithm'
const noBase64url = 'mislabelled: "?" is not in the alphabet'

/** Vectors that are valid for Wycheproof and refused by this library, with the reason. */
const refusedHere: Readonly<Record<string, string>> = {
  'signature 1': hmac,
  'signature 259': empty,
  'signature 264': empty,
  'signature 268': empty,
  'signature 272': empty,
  'signature 320': empty,
  'signature 325': empty,
  'signature 346': otherAlgorithm,
  'signature 347': noAlgorithm,
  'signature 348': hmac,
  'signature 350': otherAlgorithm,
  'signature 351': noAlgorithm,
  'signature 352': hmac,
  'signature 357': hmac,
  'signature 358': hmac,
  'signature 359': hmac,
  'signature 372': noBase64url,
  'signature 373': noBase64url,
  'signature 376': hmac,
  'signature 377': hmac,
  'key set 2': hmac,
  'key set 13': hmac,
  'key set 14': hmac,
  'key set 15': hmac,
}

/** Vectors that are invalid for Wycheproof and accepted by this library, with the reason. */
const acceptedHere: Readonly<Record<string, string>> = {
  'key set 7': 'how an RSA key was made is for its issuer to know: no fingerprint of ROCA is looked for',
}

const signatures = wycheproof.signatures as unknown as readonly WycheproofGroup[]
const keySets = wycheproof.keySets as unknown as readonly WycheproofGroup[]

describe.each([
  ['signature', signatures],
  ['key set', keySets],
] as const)('Wycheproof, %s', (kind, groups) => {
  for (const group of groups) {
    for (const { tcId, comment, jws, result } of group.tests) {
      const id = `${kind} ${tcId}`
      const difference = refusedHere[id] ?? acceptedHere[id]
      const expected = id in refusedHere ? false : id in acceptedHere ? true : result === 'valid'
      test(`${tcId} ${group.comment}: ${comment}${difference === undefined ? '' : ` (${difference})`}`, async () => {
        expect(await verifies(jws, keysOf(group))).toBe(expected)
      })
    }
  }
})

/**
 * Those vectors are of HMAC, and so refused whatever their spelling. Here the MAC is computed beside the
 * library, so that only the spelling is left to tell good from bad.
 */
describe('Wycheproof, encoding', () => {
  const group = signatures.find(({ comment }) => comment === 'base64') as WycheproofGroup
  const secret = Buffer.from((group.key as { k: string }).k, 'base64url')
  const mislabelled = new Map([
    [367, true],
    [370, true],
    [372, false],
    [373, false],
  ])

  for (const { tcId, comment, jws, result } of group.tests) {
    const isMislabelled = mislabelled.has(tcId) ? ' (mislabelled)' : ''
    test(`${tcId} ${comment}${isMislabelled}`, () => {
      expect(isRight(jws)).toBe(mislabelled.get(tcId) ?? result === 'valid')
    })
  }

  function isRight(jws: string): boolean {
    const segments = splitCompact(jws, 16 * 1024)
    if (segments === undefined || readHeader(segments.header) === undefined) return false
    const signature = decodeBase64url(segments.signature)
    if (signature === undefined || decodeBase64url(segments.payload) === undefined) return false
    const mac = createHmac('sha256', secret).update(`${segments.header}.${segments.payload}`).digest()
    return mac.equals(signature)
  }
})
