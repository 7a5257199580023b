import { beforeEach, describe, expect, test } from 'vitest'
import { issuerKeys, published } from '../../../fixtures/kit.js'
import {
  answer,
  createKeysKit,
  cut,
  eventually,
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

describe('one fetch for all', () => {
  test('A101 200 requests at a cold start make one fetch', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    const outcomes = await Promise.all(Array.from({ length: 200 }, () => setup.outcomeOf(verifier)))
    expect(new Set(outcomes)).toEqual(new Set(['allow']))
    expect(issuer.requestedPaths).toEqual(['/jwks'])
  })

  test('A101 200 requests at a cold start make one fetch that fails', async () => {
    const issuer = await startServer(answer(500, ''))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    const outcomes = await Promise.all(Array.from({ length: 200 }, () => setup.outcomeOf(verifier)))
    expect(new Set(outcomes)).toEqual(new Set(['keys_unavailable']))
    expect(issuer.requestedPaths).toHaveLength(1)
  })

  test('A113 what the issuer says about caching changes nothing', async () => {
    for (const headers of [
      { 'cache-control': 'max-age=31536000, immutable', age: '0' },
      { 'cache-control': 'no-store, max-age=0', age: '999999', expires: '0' },
      { 'cache-control': 'max-age=-1' },
    ]) {
      const body = JSON.stringify({ keys: [published(es256)] })
      const issuer = await startServer(answer(200, body, headers))
      const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { maxAge: 300 } })
      for (let count = 0; count < 20; count++) expect(await setup.outcomeOf(verifier)).toBe('allow')
      expect(issuer.requestedPaths).toHaveLength(1)
      setup.kit.advance(301)
      expect(await setup.outcomeOf(verifier)).toBe('allow')
      await eventually(() => issuer.requestedPaths.length === 2)
    }
  })

  test('A112 what was asked for first and comes last does not win', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    issuer.handler = async (request, response) => {
      // The first answer is of before the rotation, and slow.
      issuer.handler = serve(es384)
      await held
      serve(es256)(request, response)
    }
    const first = verifier.refreshKeys()
    await eventually(() => issuer.requestedPaths.length === 1)
    const second = verifier.refreshKeys()
    release()
    expect(await Promise.all([first, second])).toEqual([true, true])
    expect(await setup.outcomeOf(verifier, signedWith(es384))).toBe('allow')
    expect(await setup.outcomeOf(verifier, signedWith(es256))).toBe('key_not_found')
  })

  test('a token that was let in is refused once its key is gone from the set', async () => {
    const issuer = await startServer(serve(es256, es384))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    const token = setup.kit.token()
    expect(await setup.outcomeOf(verifier, { token })).toBe('allow')
    issuer.handler = serve(es384)
    expect(await verifier.refreshKeys()).toBe(true)
    expect(await setup.outcomeOf(verifier, { token })).toBe('key_not_found')
    expect(await setup.outcomeOf(verifier, signedWith(es384))).toBe('allow')
  })
})

describe('the age of keys', () => {
  const keys = { maxAge: 300, maxStale: 3600 }

  test('A113 keys are refreshed in the background before they are old: no request waits', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { ...keys, timeout: 60 } })
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    setup.kit.advance(239)
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    expect(issuer.requestedPaths).toHaveLength(1)
    // From now on no answer comes.
    issuer.handler = hang
    setup.kit.advance(2)
    for (let count = 0; count < 20; count++) expect(await setup.outcomeOf(verifier)).toBe('allow')
    await eventually(() => issuer.requestedPaths.length === 2)
  })

  test('a busy API has new keys before the old ones are too old', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys })
    const token = setup.kit.token({ key: es384 })
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    issuer.handler = serve(es384)
    setup.kit.advance(241)
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    await eventually(async () => (await setup.outcomeOf(verifier)) === 'key_not_found')
    expect(await setup.outcomeOf(verifier, { token })).toBe('allow')
    expect(issuer.requestedPaths.length).toBeLessThanOrEqual(3)
  })

  test.each([301, 3300, 3599, 4000])(
    'a key that was withdrawn while the API was idle for %i s lets no request in, not even of many at once',
    async (idle) => {
      const issuer = await startServer(serve(es256, es384))
      const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys })
      expect(await setup.outcomeOf(verifier)).toBe('allow')
      issuer.handler = serve(es384)
      setup.kit.advance(idle)
      const outcomes = await Promise.all([1, 2, 3].map(() => setup.outcomeOf(verifier)))
      expect(outcomes).toEqual(['key_not_found', 'key_not_found', 'key_not_found'])
      expect(await setup.outcomeOf(verifier, signedWith(es384))).toBe('allow')
    },
  )

  test('a token that was verified before is no exception', async () => {
    const issuer = await startServer(serve(es256, es384))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { ...keys, maxAge: 10 } })
    const token = setup.kit.token()
    expect(await setup.outcomeOf(verifier, { token })).toBe('allow')
    issuer.handler = serve(es384)
    setup.kit.advance(11)
    const outcomes = await Promise.all([1, 2, 3].map(() => setup.outcomeOf(verifier, { token })))
    expect(outcomes).toEqual(['key_not_found', 'key_not_found', 'key_not_found'])
  })

  test('a request waits for the refresh at most for the timeout: then the old keys serve', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { ...keys, timeout: 0.3 } })
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    issuer.handler = hang
    setup.kit.advance(301)
    let isAnswered = false
    const outcome = setup.outcomeOf(verifier).finally(() => {
      isAnswered = true
    })
    await eventually(() => issuer.requestedPaths.length === 2)
    expect(isAnswered).toBe(false)
    expect(await outcome).toBe('allow')
    expect(issuer.requestedPaths).toHaveLength(2)
  })

  test('the old keys serve only until the next fetch: one failure is no leave to go on for an hour', async () => {
    const issuer = await startServer(serve(es256, es384))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { ...keys, cooldown: 30 } })
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    issuer.handler = cut
    setup.kit.advance(301)
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    issuer.handler = serve(es384)
    setup.kit.advance(31)
    const outcomes = await Promise.all([1, 2, 3].map(() => setup.outcomeOf(verifier)))
    expect(outcomes).toEqual(['key_not_found', 'key_not_found', 'key_not_found'])
  })

  test('while the issuer is down, no request waits again before the next attempt is due', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { ...keys, timeout: 0.3 } })
    const token = setup.kit.token()
    expect(await setup.outcomeOf(verifier, { token })).toBe('allow')
    issuer.handler = hang
    setup.kit.advance(301)
    // Fails three times: the next attempt is due after 200 ms at the earliest.
    for (let count = 0; count < 3; count++) await verifier.refreshKeys()
    const asked = issuer.requestedPaths.length
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    expect(issuer.requestedPaths).toHaveLength(asked)
  })
})
