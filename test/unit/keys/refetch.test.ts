import { beforeEach, describe, expect, test } from 'vitest'
import { generateKey, ISSUER, issuerKeys, published, type TestKey } from '../../../fixtures/kit.js'
import { type Algorithm, algorithms } from '../../../src/jws/algorithms.js'
import type { IssuerKey } from '../../../src/keys/issuer-key.js'
import { remoteKeys } from '../../../src/keys/remote-keys.js'
import {
  answer,
  createKeysKit,
  cut,
  forged,
  hang,
  serve,
  signedWith,
  startServer,
} from '../../support/issuer.js'

const { es256, es384, eddsa } = issuerKeys

let setup: ReturnType<typeof createKeysKit>

beforeEach(() => {
  setup = createKeysKit()
})

describe('fetching for unknown keys', () => {
  test('A099 a flood of made-up kids makes four fetches for each cool-down', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { cooldown: 30 } })
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    expect(issuer.requestedPaths).toHaveLength(1)

    const flood = await Promise.all(
      Array.from({ length: 100 }, () => setup.outcomeOf(verifier, setup.withUnknownKid())),
    )
    expect(new Set(flood)).toEqual(new Set(['key_not_found']))
    expect(issuer.requestedPaths).toHaveLength(2)
    const verdicts: string[] = []
    for (let count = 0; count < 20; count++) {
      verdicts.push(await setup.outcomeOf(verifier, setup.withUnknownKid()))
    }
    expect(verdicts).toEqual([
      ...Array.from({ length: 3 }, () => 'key_not_found'),
      ...Array.from({ length: 17 }, () => 'keys_unavailable'),
    ])
    expect(issuer.requestedPaths).toHaveLength(5)

    setup.kit.advance(29)
    expect(await setup.outcomeOf(verifier, setup.withUnknownKid())).toBe('keys_unavailable')
    expect(issuer.requestedPaths).toHaveLength(5)
    setup.kit.advance(2)
    await Promise.all(Array.from({ length: 20 }, () => setup.outcomeOf(verifier, setup.withUnknownKid())))
    expect(issuer.requestedPaths).toHaveLength(6)
    expect(await setup.outcomeOf(verifier)).toBe('allow')
  })

  test('A099 a kid that is there, but for another algorithm, makes no fetch', async () => {
    const issuer = await startServer(serve(es256, es384))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    expect(await setup.outcomeOf(verifier, { token: { header: { kid: 'as-es384' } } })).toBe('key_not_found')
    expect(issuer.requestedPaths).toHaveLength(1)
  })

  test('A099 what is refused before its key makes no fetch at all', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    expect(await setup.outcomeOf(verifier, { token: 'junk' })).toBe('token_malformed')
    expect(await setup.outcomeOf(verifier, { token: { header: { typ: 'JWT' } } })).toBe(
      'token_type_not_allowed',
    )
    expect(await setup.outcomeOf(verifier, { token: { header: { alg: 'none' } } })).toBe(
      'algorithm_not_allowed',
    )
    expect(await setup.outcomeOf(verifier, { token: { header: { kid: 1 } } })).toBe('token_malformed')
    expect(issuer.requestedPaths).toEqual([])
  })

  test('A110 a new key is found at once, though made-up kids came before', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { cooldown: 30 } })
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    for (let count = 0; count < 2; count++) await setup.outcomeOf(verifier, setup.withUnknownKid())
    issuer.handler = serve(es256, es384)
    expect(await setup.outcomeOf(verifier, signedWith(es384))).toBe('allow')
    issuer.handler = serve(es384, eddsa)
    expect(await setup.outcomeOf(verifier, signedWith(eddsa))).toBe('allow')
    expect(issuer.requestedPaths).toHaveLength(5)
  })

  test('A110 a new key is found at the latest after the cool-down', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { cooldown: 30 } })
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    for (let count = 0; count < 4; count++) await setup.outcomeOf(verifier, setup.withUnknownKid())
    issuer.handler = serve(es384)
    // It may well be a good token: the caller is asked to try again, not told that the token is bad.
    const decision = await setup.decide(verifier, signedWith(es384))
    expect(decision).toMatchObject({ status: 503, code: 'keys_unavailable' })
    setup.kit.advance(31)
    expect(await setup.outcomeOf(verifier, signedWith(es384))).toBe('allow')
  })

  test('A110 refreshKeys does not wait for the cool-down', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    expect(await verifier.ready()).toMatchObject({ ready: true })
    for (let count = 0; count < 4; count++) await setup.outcomeOf(verifier, setup.withUnknownKid())
    issuer.handler = serve(es384)
    expect(await setup.outcomeOf(verifier, signedWith(es384))).toBe('keys_unavailable')
    expect(await verifier.refreshKeys()).toBe(true)
    expect(await setup.outcomeOf(verifier, signedWith(es384))).toBe('allow')
  })

  test('A108 the issuer that a token names is not asked, unless the policy names it', async () => {
    const attacker = await startServer(serve(issuerKeys.stranger))
    const asked: string[] = []
    const verifier = setup.verifierOf(
      { jwks: { keys: [published(es256)] } },
      {
        fetch: async (input) => {
          asked.push(String(input))
          throw new TypeError('no fetch is due')
        },
      },
    )
    const names = [
      attacker.origin,
      'http://169.254.169.254',
      'http://[::ffff:169.254.169.254]',
      `${ISSUER}@attacker.example`,
      `https://as.example.com.attacker.example`,
      'http://localtest.me',
      'file:///etc/passwd',
      `${ISSUER}/`,
    ]
    for (const iss of names) {
      const token = { key: issuerKeys.stranger, claims: { iss } }
      expect(await setup.outcomeOf(verifier, { token })).toBe('issuer_not_trusted')
    }
    expect([...asked, ...attacker.requestedPaths]).toEqual([])
  })
})

describe('fetching for signatures that no known key verifies', () => {
  const sameKid = (alg: string): TestKey => generateKey(alg, es256.kid)

  test('a new key under the kid of an old one is found at once, and the old one is gone', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    const next = sameKid('ES256')
    issuer.handler = serve(next)
    expect(await setup.outcomeOf(verifier, signedWith(next))).toBe('allow')
    expect(await setup.outcomeOf(verifier)).toBe('signature_invalid')
    expect(issuer.requestedPaths).toHaveLength(2)
  })

  test('a new key without a kid is found in place of one without', async () => {
    const bare = (key: TestKey) => answer(200, JSON.stringify({ keys: [published(key, { kid: undefined })] }))
    const issuer = await startServer(bare(es256))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    const without = (key: TestKey) => ({ token: { key: { ...key, kid: undefined } } })
    expect(await setup.outcomeOf(verifier, without(es256))).toBe('allow')
    const next = generateKey('ES256')
    issuer.handler = bare(next)
    expect(await setup.outcomeOf(verifier, without(next))).toBe('allow')
    expect(issuer.requestedPaths).toHaveLength(2)
  })

  test('all tokens of the new key that come during the fetch wait for it', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    const next = sameKid('ES256')
    issuer.handler = serve(next)
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, () => setup.outcomeOf(verifier, signedWith(next))),
    )
    expect(new Set(outcomes)).toEqual(new Set(['allow']))
    expect(issuer.requestedPaths).toHaveLength(2)
  })

  test('a token that was verified with the old key for longer than the fetch took finds the new one', async () => {
    const issuer = await startServer(serve(es256))
    const keys = remoteKeys({
      issuer: ISSUER,
      allowInsecureHttp: false,
      jwksUri: `${issuer.origin}/jwks`,
      ...{ maxAge: 300, cooldown: 30, maxStale: 3600, timeout: 5 },
      fetch: globalThis.fetch,
      now: Date.now,
      onRefresh: () => {},
    })
    const algorithm = algorithms.get('ES256') as Algorithm
    const old = (await keys.find(es256.kid, algorithm)) as readonly IssuerKey[]
    issuer.handler = serve(sameKid('ES256'))
    const first = await keys.findOthers(es256.kid, algorithm, old)
    expect(first).toHaveLength(1)
    expect(await keys.findOthers(es256.kid, algorithm, old)).toEqual(first)
    expect(issuer.requestedPaths).toHaveLength(2)
    keys.close()
  })

  test('a flood of forged signatures makes one fetch for each cool-down', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { cooldown: 30 } })
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    const flood = await Promise.all(Array.from({ length: 50 }, () => setup.outcomeOf(verifier, forged())))
    expect(new Set(flood)).toEqual(new Set(['signature_invalid']))
    for (let count = 0; count < 20; count++) {
      expect(await setup.outcomeOf(verifier, forged())).toBe('signature_invalid')
    }
    expect(issuer.requestedPaths).toHaveLength(2)
    setup.kit.advance(31)
    expect(await setup.outcomeOf(verifier, forged())).toBe('signature_invalid')
    expect(await setup.outcomeOf(verifier, forged())).toBe('signature_invalid')
    expect(issuer.requestedPaths).toHaveLength(3)
  })

  test('forged signatures use up no fetch that finds a new kid, and made-up kids none that finds a new key', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { cooldown: 30 } })
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    for (let count = 0; count < 10; count++) await setup.outcomeOf(verifier, forged())
    issuer.handler = serve(es256, es384)
    expect(await setup.outcomeOf(verifier, signedWith(es384))).toBe('allow')

    setup.kit.advance(31)
    for (let count = 0; count < 10; count++) await setup.outcomeOf(verifier, setup.withUnknownKid())
    const next = sameKid('ES256')
    issuer.handler = serve(next)
    expect(await setup.outcomeOf(verifier, signedWith(next))).toBe('allow')
  })

  test.each([
    ['is down', cut],
    ['hangs', hang],
  ])('a forged signature is one, though the issuer %s', async (_, handler) => {
    const issuer = await startServer(serve(es256))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { timeout: 0.2 } })
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    issuer.handler = handler
    expect(await setup.outcomeOf(verifier, forged())).toBe('signature_invalid')
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    expect(issuer.requestedPaths).toHaveLength(2)
  })
})
