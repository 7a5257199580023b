import { beforeEach, describe, expect, test } from 'vitest'
import { type CallOverrides, issuerKeys, published } from '../../../fixtures/kit.js'
import { answer, createKeysKit, type Handler, hang, startServer } from '../../support/issuer.js'

const { es256 } = issuerKeys

let setup: ReturnType<typeof createKeysKit>

beforeEach(() => {
  setup = createKeysKit()
})

describe('finding the key set', () => {
  const oauthMetadata = '/.well-known/oauth-authorization-server'
  const openIdMetadata = '/.well-known/openid-configuration'

  /** Serves a document under each path, 404 under all others. */
  const site = (documents: Record<string, unknown>): Handler => {
    return (request, response) => {
      const document = documents[request.url as string]
      answer(document === undefined ? 404 : 200, JSON.stringify(document ?? {}))(request, response)
    }
  }
  const jwks = { keys: [published(es256)] }
  const from = (origin: string): CallOverrides => ({ token: { claims: { iss: origin } } })

  test('A109 through the metadata of RFC 8414', async () => {
    const issuer = await startServer(() => {})
    const { origin } = issuer
    issuer.handler = site({ [oauthMetadata]: { issuer: origin, jwks_uri: `${origin}/keys` }, '/keys': jwks })
    const verifier = setup.verifierOf({ url: origin })
    expect(await setup.outcomeOf(verifier, from(origin))).toBe('allow')
    expect(issuer.requestedPaths).toEqual([oauthMetadata, '/keys'])
    expect(await setup.outcomeOf(verifier, from(origin))).toBe('allow')
    expect(issuer.requestedPaths).toHaveLength(2)
  })

  test('A109 through OpenID discovery where there is none', async () => {
    const issuer = await startServer(() => {})
    const { origin } = issuer
    issuer.handler = site({ [openIdMetadata]: { issuer: origin, jwks_uri: `${origin}/keys` }, '/keys': jwks })
    expect(await setup.outcomeOf(setup.verifierOf({ url: origin }), from(origin))).toBe('allow')
    expect(issuer.requestedPaths).toEqual([oauthMetadata, openIdMetadata, '/keys'])
  })

  test('A109 with the path of the issuer where each standard puts it', async () => {
    const issuer = await startServer(() => {})
    const url = `${issuer.origin}/tenant-1`
    issuer.handler = site({
      [`/tenant-1${openIdMetadata}`]: { issuer: url, jwks_uri: `${issuer.origin}/keys` },
      '/keys': jwks,
    })
    expect(await setup.outcomeOf(setup.verifierOf({ url }), from(url))).toBe('allow')
    expect(issuer.requestedPaths).toEqual([
      `${oauthMetadata}/tenant-1`,
      `/tenant-1${openIdMetadata}`,
      '/keys',
    ])
  })

  const wrong: [name: string, metadata: (origin: string, other: string) => unknown][] = [
    ['of another issuer', (origin, other) => ({ issuer: other, jwks_uri: `${origin}/keys` })],
    ['whose issuer has a slash more', (origin) => ({ issuer: `${origin}/`, jwks_uri: `${origin}/keys` })],
    ['without an issuer', (origin) => ({ jwks_uri: `${origin}/keys` })],
    ['whose issuer is a list', (origin) => ({ issuer: [origin], jwks_uri: `${origin}/keys` })],
    ['without a key set', (origin) => ({ issuer: origin })],
    ['with a key set in a file', (origin) => ({ issuer: origin, jwks_uri: 'file:///etc/passwd' })],
    [
      'with a key set in a data URL',
      (origin) => ({ issuer: origin, jwks_uri: `data:application/json,${JSON.stringify(jwks)}` }),
    ],
    [
      'with a key set behind a password',
      (origin) => ({ issuer: origin, jwks_uri: `${origin.replace('//', '//u:p@')}/keys` }),
    ],
    ['with a relative key set', (origin) => ({ issuer: origin, jwks_uri: '/keys' })],
    ['that is no object', () => ['issuer']],
  ]
  for (const [name, metadata] of wrong) {
    test(`A109 metadata ${name} is not used`, async () => {
      const other = await startServer(site({ '/keys': jwks }))
      const issuer = await startServer(() => {})
      const document = metadata(issuer.origin, other.origin)
      issuer.handler = site({ [oauthMetadata]: document, [openIdMetadata]: document, '/keys': jwks })
      const verifier = setup.verifierOf({ url: issuer.origin })
      expect(await setup.outcomeOf(verifier, from(issuer.origin))).toBe('keys_unavailable')
      expect(issuer.requestedPaths).not.toContain('/keys')
      expect(other.requestedPaths).toEqual([])
    })
  }

  test('A109 metadata that redirects is not used', async () => {
    const other = await startServer(() => {})
    const issuer = await startServer((_, response) => {
      response.writeHead(302, { location: `${other.origin}/metadata` }).end()
    })
    expect(await setup.outcomeOf(setup.verifierOf({ url: issuer.origin }), from(issuer.origin))).toBe(
      'keys_unavailable',
    )
    expect(other.requestedPaths).toEqual([])
  })

  test('with the key set at another origin, as the metadata says', async () => {
    const other = await startServer(site({ '/certs': jwks }))
    const issuer = await startServer(() => {})
    const { origin } = issuer
    issuer.handler = site({ [openIdMetadata]: { issuer: origin, jwks_uri: `${other.origin}/certs` } })
    expect(await setup.outcomeOf(setup.verifierOf({ url: origin }), from(origin))).toBe('allow')
    expect(other.requestedPaths).toEqual(['/certs'])
  })

  test('an https issuer has no key set behind plain http, not even on loopback', async () => {
    const loopback = await startServer(site({ '/keys': jwks }))
    const url = 'https://as.example.com'
    const asked: string[] = []
    const fetch: typeof globalThis.fetch = async (input, init) => {
      asked.push(String(input))
      if (!String(input).startsWith(url)) return globalThis.fetch(input, init)
      return Response.json({ issuer: url, jwks_uri: `${loopback.origin}/keys` })
    }
    expect(await setup.outcomeOf(setup.verifierOf({ url }, { fetch }))).toBe('keys_unavailable')
    expect(loopback.requestedPaths).toEqual([])
    expect(asked).toEqual([`${url}${oauthMetadata}`, `${url}${openIdMetadata}`])
  })

  test.each([
    ['RFC 8414', oauthMetadata, openIdMetadata],
    ['OpenID discovery', openIdMetadata, oauthMetadata],
  ])('though the place of %s hangs', async (_, hanging, working) => {
    const issuer = await startServer(() => {})
    const { origin } = issuer
    const documents = site({ [working]: { issuer: origin, jwks_uri: `${origin}/keys` }, '/keys': jwks })
    issuer.handler = (request, response) => {
      if (request.url !== hanging) documents(request, response)
    }
    const verifier = setup.verifierOf({ url: origin, keys: { timeout: 2 } })
    expect(await setup.outcomeOf(verifier, from(origin))).toBe('allow')
  })

  test('though RFC 8414 metadata comes late, and there is no OpenID discovery', async () => {
    const issuer = await startServer(() => {})
    const { origin } = issuer
    const documents = site({ [oauthMetadata]: { issuer: origin, jwks_uri: `${origin}/keys` }, '/keys': jwks })
    issuer.handler = (request, response) => {
      if (request.url !== oauthMetadata) documents(request, response)
      else setTimeout(() => documents(request, response), 800)
    }
    const verifier = setup.verifierOf({ url: origin, keys: { timeout: 2 } })
    expect(await setup.outcomeOf(verifier, from(origin))).toBe('allow')
    expect(issuer.requestedPaths).toEqual([oauthMetadata, openIdMetadata, '/keys'])
  })

  test('within one timeout, though both places hang', async () => {
    const issuer = await startServer(hang)
    const verifier = setup.verifierOf({ url: issuer.origin, keys: { timeout: 1 } })
    expect(await setup.outcomeOf(verifier, from(issuer.origin))).toBe('keys_unavailable')
    expect(issuer.requestedPaths).toEqual([oauthMetadata, openIdMetadata])
  })
})
