import { beforeEach, describe, expect, test } from 'vitest'
import { type CallOverrides, ISSUER, issuerKeys, published } from '../../../fixtures/kit.js'
import type { DecisionFacts, IssuerPolicy, VerifierOptions } from '../../../src/index.js'
import {
  answer,
  createKeysKit,
  cut,
  eventually,
  forged,
  type Handler,
  hang,
  serve,
  signedWith,
  startServer,
} from '../../support/issuer.js'

const { es256, es384 } = issuerKeys

let setup: ReturnType<typeof createKeysKit>

beforeEach(() => {
  setup = createKeysKit()
})

/** A verifier, and a function that resolves to the code and the cause of a refusal. */
function tellingVerifier(issuer: Partial<IssuerPolicy>, options: VerifierOptions = {}) {
  const told: DecisionFacts[] = []
  const onDecision = (_: unknown, facts: DecisionFacts) => void told.push(facts)
  const verifier = setup.verifierOf(issuer, { ...options, onDecision })
  return {
    verifier,
    async refusalOf(over?: CallOverrides) {
      const count = told.length
      const code = await setup.outcomeOf(verifier, over)
      await eventually(() => told.length > count)
      // The cause names the entry of the policy that decided.
      const cause = told[count]?.cause
      if (cause === undefined) return { code, cause }
      const { issuer: entry, ...others } = cause
      expect(entry).toBe(issuer.url ?? ISSUER)
      return { code, cause: others }
    },
  }
}

describe('the cause of keys_unavailable', () => {
  const nextTry = '(the next request tries again|next try in 1 s)'
  const causes: [what: string, handler: Handler, reason: string][] = [
    ['a status', answer(406, ''), 'ORIGIN/jwks answered with status 406'],
    [
      'a redirect',
      answer(301, '', { location: '/x' }),
      'ORIGIN/jwks answered with status 301, and redirects are not followed',
    ],
    ['no JSON', answer(200, '<html>'), 'ORIGIN/jwks answered with no JSON'],
    ['too much', answer(200, ' '.repeat(300_000)), 'ORIGIN/jwks answered with more than 256 KiB'],
    [
      'no usable key',
      answer(200, '{"keys":[{"kty":"AKP"}]}'),
      'ORIGIN/jwks holds no JWK Set with 1 to 100 keys, one of them usable',
    ],
    ['a network error', cut, 'ORIGIN/jwks: fetch failed \\(UND_ERR_SOCKET\\)'],
    ['no answer', hang, 'no answer within 0.3 s from ORIGIN/jwks'],
  ]
  test.each(causes)('names the URL and %s, and when the next try is', async (_, handler, expected) => {
    const issuer = await startServer(handler)
    const jwksUri = `${issuer.origin}/jwks?key=secret`
    const { verifier, refusalOf } = tellingVerifier({ jwksUri, keys: { timeout: 0.3 } })
    const reason = expect.stringMatching(
      new RegExp(`^${expected.replace('ORIGIN', issuer.origin)}; ${nextTry}$`),
    )
    expect(await refusalOf()).toEqual({ code: 'keys_unavailable', cause: { reason } })
    expect(await verifier.ready()).toEqual({
      ready: false,
      issuers: [{ url: ISSUER, ready: false, cause: { reason } }],
    })
  })

  test('never shows the query of the URL, not even in the message of a fetch of one’s own', async () => {
    const fetch = async (input: unknown) => {
      throw new Error(`cannot get ${input}`)
    }
    const { refusalOf } = tellingVerifier({ jwksUri: `${ISSUER}/jwks?key=secret` }, { fetch })
    const { cause } = await refusalOf()
    expect(cause?.reason).toMatch(`${ISSUER}/jwks: cannot get ${ISSUER}/jwks; `)
  })

  test('names both places of metadata, and the issuer that stands there instead', async () => {
    const issuer = await startServer(() => {})
    const { origin } = issuer
    issuer.handler = (request, response) => {
      const isOpenId = request.url?.endsWith('/openid-configuration')
      const document = JSON.stringify({ issuer: `${origin}/`, jwks_uri: `${origin}/keys` })
      answer(isOpenId ? 200 : 404, document)(request, response)
    }
    const { refusalOf } = tellingVerifier({ url: origin })
    const { cause } = await refusalOf({ token: { claims: { iss: origin } } })
    expect(cause?.reason).toMatch(
      `${origin}/.well-known/oauth-authorization-server answered with status 404; ` +
        `${origin}/.well-known/openid-configuration is metadata of issuer "${origin}/", not of "${origin}"; `,
    )
  })

  test('says that no fetch is left, and for which kid', async () => {
    const issuer = await startServer(serve(es256))
    const { refusalOf } = tellingVerifier({ jwksUri: `${issuer.origin}/jwks`, keys: { cooldown: 30 } })
    expect(await refusalOf()).toMatchObject({ code: 'allow' })
    for (let count = 0; count < 4; count++) await refusalOf(setup.withUnknownKid())
    setup.kit.advance(10)
    const kid = `a\nb${'x'.repeat(200)}`
    expect(await refusalOf({ token: { header: { kid } } })).toEqual({
      code: 'keys_unavailable',
      cause: {
        reason: 'unknown kid, and 4 fetches for unknown kids were made within 30 s; next one in 20 s',
        claim: 'kid',
        found: `a\ufffdb${'x'.repeat(125)}`,
        unverified: true,
      },
    })
  })
})

describe('the cause of key_not_found', () => {
  const keys = [published(es256), published(es384)]

  test.each([
    ['an unknown kid', { kid: 'a\nb' }, 'the issuer has 2 keys, and none has this kid', 'a\ufffdb'],
    [
      'a kid of another algorithm',
      { kid: es384.kid },
      'the issuer has 2 keys, and none of this kid fits ES256',
      es384.kid,
    ],
  ])('names %s, and the keys that the issuer has', async (_, header, reason, found) => {
    const { refusalOf } = tellingVerifier({ jwks: { keys } })
    const expected = `${es256.kid} or ${es384.kid}`
    const cause = { reason, claim: 'kid', expected, found, unverified: true }
    expect(await refusalOf({ token: { header } })).toEqual({ code: 'key_not_found', cause })
  })

  test('says that no key fits a token without a kid', async () => {
    const { refusalOf } = tellingVerifier({ jwks: { keys: [published(es384)] } })
    expect(await refusalOf({ token: { header: { kid: undefined } } })).toEqual({
      code: 'key_not_found',
      cause: { reason: 'the issuer has 1 key, and none fits ES256', claim: 'kid' },
    })
  })
})

describe('ready()', () => {
  test('reports each issuer by its URL, whether it is ready or not', async () => {
    const up = await startServer(serve(es384))
    const down = await startServer(answer(500, ''))
    const verifier = setup.verifierOf([
      { url: ISSUER, jwks: { keys: [published(es256)] } },
      { url: 'https://up.example.com', jwksUri: `${up.origin}/jwks` },
      { url: 'https://down.example.com', jwksUri: `${down.origin}/jwks` },
    ])
    expect(await verifier.ready()).toEqual({
      ready: false,
      issuers: [
        { url: ISSUER, ready: true },
        { url: 'https://up.example.com', ready: true },
        {
          url: 'https://down.example.com',
          ready: false,
          cause: { reason: expect.stringContaining('status 500') },
        },
      ],
    })
  })

  test('reports beside "ready" that old keys could not be refreshed', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { maxAge: 300 } })
    expect(await verifier.ready()).toEqual({ ready: true, issuers: [{ url: ISSUER, ready: true }] })
    issuer.handler = answer(500, '')
    setup.kit.advance(301)
    const cause = { reason: expect.stringContaining('status 500') }
    expect(await verifier.ready()).toEqual({ ready: true, issuers: [{ url: ISSUER, ready: true, cause }] })
    issuer.handler = serve(es256)
    setup.kit.advance(60)
    expect(await verifier.ready()).toEqual({ ready: true, issuers: [{ url: ISSUER, ready: true }] })
  })

  test('a closed verifier fetches nothing', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    verifier.close()
    const cause = { reason: 'the verifier is closed' }
    expect(await verifier.ready()).toEqual({ ready: false, issuers: [{ url: ISSUER, ready: false, cause }] })
    expect(issuer.requestedPaths).toEqual([])
  })
})

test('the cause of signature_invalid says how many keys were tried', async () => {
  const { refusalOf } = tellingVerifier({ jwks: { keys: [published(es256)] } })
  const cause = {
    reason: 'the key that fits has not made the signature',
    claim: 'kid',
    found: es256.kid,
    unverified: true,
  }
  expect(await refusalOf(forged())).toEqual({ code: 'signature_invalid', cause })
  expect(await refusalOf(signedWith(es256))).toMatchObject({ code: 'allow' })
})
