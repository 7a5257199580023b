import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { defaultPolicy } from '../fixtures/conformance/policy.js'
import {
  type CallOverrides,
  createKit,
  ISSUER,
  issuerKeys,
  type Kit,
  published,
  rename,
  type TestKey,
} from '../fixtures/kit.js'
import {
  createVerifier,
  type Decision,
  type IssuerPolicy,
  type Verifier,
  type VerifierOptions,
} from '../src/index.js'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** An issuer's web server on loopback: what it answers can change at any time. */
interface IssuerServer {
  readonly origin: string
  /** Paths that were asked for, in order. */
  readonly asked: string[]
  handler: Handler
  close(): Promise<void>
}

const closers: (() => unknown)[] = []

async function startServer(handler: Handler): Promise<IssuerServer> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url as string)
    issuer.handler(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer: IssuerServer = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    handler,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  closers.push(issuer.close)
  return issuer
}

/** Serves these keys. */
function serve(...keys: TestKey[]): Handler {
  return answer(200, JSON.stringify({ keys: keys.map((key) => published(key)) }))
}

function answer(status: number, body: string, headers: Record<string, string> = {}): Handler {
  return (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
  }
}

let kit: Kit

beforeEach(() => {
  kit = createKit()
})

afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

function verifierOf(issuer: Partial<IssuerPolicy> | IssuerPolicy[], options: VerifierOptions = {}): Verifier {
  const verifier = createVerifier(
    { ...defaultPolicy(), issuer: Array.isArray(issuer) ? issuer : { url: ISSUER, ...issuer } },
    { now: () => kit.now, ...options },
  )
  closers.push(() => verifier.close())
  return verifier
}

function decide(verifier: Verifier, over: CallOverrides = {}): Promise<Decision> {
  const { method, url, headers } = kit.call(over)
  return verifier.verify({ method, url, headers: Object.fromEntries(headers) })
}

async function outcomeOf(verifier: Verifier, over: CallOverrides = {}): Promise<string> {
  const decision = await decide(verifier, over)
  return 'code' in decision ? decision.code : decision.outcome
}

const by = (key: TestKey): CallOverrides => ({ token: { key } })
const withUnknownKid = (): CallOverrides => by(rename(issuerKeys.stranger, 'ES256', kit.id()))
const { es256, es384, eddsa } = issuerKeys

/** Until it holds: background work has no other sign of having ended. */
async function eventually(check: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 5_000
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error('it never held')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

describe('fetching for unknown keys', () => {
  test('A099 a flood of made-up kids makes one fetch for each cool-down', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { cooldown: 30 } })
    expect(await outcomeOf(verifier)).toBe('allow')
    expect(issuer.asked).toHaveLength(1)

    const flood = await Promise.all(Array.from({ length: 100 }, () => outcomeOf(verifier, withUnknownKid())))
    expect(new Set(flood)).toEqual(new Set(['key_not_found']))
    for (let count = 0; count < 20; count++) await outcomeOf(verifier, withUnknownKid())
    expect(issuer.asked).toHaveLength(2)

    kit.advance(29)
    await outcomeOf(verifier, withUnknownKid())
    expect(issuer.asked).toHaveLength(2)
    kit.advance(2)
    await Promise.all(Array.from({ length: 20 }, () => outcomeOf(verifier, withUnknownKid())))
    expect(issuer.asked).toHaveLength(3)
    expect(await outcomeOf(verifier)).toBe('allow')
  })

  test('A099 a kid that is there, but for another algorithm, makes no fetch', async () => {
    const issuer = await startServer(serve(es256, es384))
    const verifier = verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    expect(await outcomeOf(verifier)).toBe('allow')
    expect(await outcomeOf(verifier, { token: { header: { kid: 'as-es384' } } })).toBe('key_not_found')
    expect(issuer.asked).toHaveLength(1)
  })

  test('A099 what is refused before its key makes no fetch at all', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    expect(await outcomeOf(verifier, { token: 'junk' })).toBe('token_malformed')
    expect(await outcomeOf(verifier, { token: { header: { typ: 'JWT' } } })).toBe('token_type_not_allowed')
    expect(await outcomeOf(verifier, { token: { header: { alg: 'none' } } })).toBe('algorithm_not_allowed')
    expect(await outcomeOf(verifier, { token: { header: { kid: 1 } } })).toBe('token_malformed')
    expect(issuer.asked).toEqual([])
  })

  test('A110 a new key is found at once, and a second one at the latest after the cool-down', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { cooldown: 30 } })
    expect(await outcomeOf(verifier)).toBe('allow')
    issuer.handler = serve(es256, es384)
    expect(await outcomeOf(verifier, by(es384))).toBe('allow')
    issuer.handler = serve(es384, eddsa)
    expect(await outcomeOf(verifier, by(eddsa))).toBe('key_not_found')
    kit.advance(31)
    expect(await outcomeOf(verifier, by(eddsa))).toBe('allow')
    expect(issuer.asked).toHaveLength(3)
  })

  test('A110 refreshKeys does not wait for the cool-down', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    expect(await verifier.ready()).toBe(true)
    await outcomeOf(verifier, withUnknownKid())
    issuer.handler = serve(es384)
    expect(await outcomeOf(verifier, by(es384))).toBe('key_not_found')
    expect(await verifier.refreshKeys()).toBe(true)
    expect(await outcomeOf(verifier, by(es384))).toBe('allow')
  })

  test('A108 the issuer that a token names is not asked, unless the policy names it', async () => {
    const attacker = await startServer(serve(issuerKeys.stranger))
    const asked: string[] = []
    const verifier = verifierOf(
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
      expect(await outcomeOf(verifier, { token })).toBe('issuer_not_trusted')
    }
    expect([...asked, ...attacker.asked]).toEqual([])
  })
})

describe('fetching once', () => {
  test('A101 200 requests at a cold start make one fetch', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    const outcomes = await Promise.all(Array.from({ length: 200 }, () => outcomeOf(verifier)))
    expect(new Set(outcomes)).toEqual(new Set(['allow']))
    expect(issuer.asked).toEqual(['/jwks'])
  })

  test('A101 200 requests at a cold start make one fetch that fails', async () => {
    const issuer = await startServer(answer(500, ''))
    const verifier = verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    const outcomes = await Promise.all(Array.from({ length: 200 }, () => outcomeOf(verifier)))
    expect(new Set(outcomes)).toEqual(new Set(['keys_unavailable']))
    expect(issuer.asked).toHaveLength(1)
  })

  test('A113 what the issuer says about caching changes nothing', async () => {
    for (const headers of [
      { 'cache-control': 'max-age=31536000, immutable', age: '0' },
      { 'cache-control': 'no-store, max-age=0', age: '999999', expires: '0' },
      { 'cache-control': 'max-age=-1' },
    ]) {
      const body = JSON.stringify({ keys: [published(es256)] })
      const issuer = await startServer(answer(200, body, headers))
      const verifier = verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { maxAge: 300 } })
      for (let count = 0; count < 20; count++) expect(await outcomeOf(verifier)).toBe('allow')
      expect(issuer.asked).toHaveLength(1)
      kit.advance(301)
      expect(await outcomeOf(verifier)).toBe('allow')
      await eventually(() => issuer.asked.length === 2)
    }
  })

  test('A113 keys that are old are fetched in the background: no request waits', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { maxAge: 300, timeout: 60 } })
    expect(await outcomeOf(verifier)).toBe('allow')
    // From now on no answer comes.
    issuer.handler = () => {}
    kit.advance(301)
    for (let count = 0; count < 20; count++) expect(await outcomeOf(verifier)).toBe('allow')
    await eventually(() => issuer.asked.length === 2)
  })

  test('A112 what was asked for first and comes last does not win', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = verifierOf({ jwksUri: `${issuer.origin}/jwks` })
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
    await eventually(() => issuer.asked.length === 1)
    const second = verifier.refreshKeys()
    release()
    expect(await Promise.all([first, second])).toEqual([true, true])
    expect(await outcomeOf(verifier, by(es384))).toBe('allow')
    expect(await outcomeOf(verifier, by(es256))).toBe('key_not_found')
  })

  test('a token that was let in is refused once its key is gone from the set', async () => {
    const issuer = await startServer(serve(es256, es384))
    const verifier = verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    const token = kit.token()
    expect(await outcomeOf(verifier, { token })).toBe('allow')
    issuer.handler = serve(es384)
    expect(await verifier.refreshKeys()).toBe(true)
    expect(await outcomeOf(verifier, { token })).toBe('key_not_found')
    expect(await outcomeOf(verifier, by(es384))).toBe('allow')
  })
})

const badAnswers: [name: string, handler: Handler][] = [
  ['500', answer(500, '')],
  ['404', answer(404, '{"keys":[]}')],
  ['204', answer(204, '')],
  ['an empty object', answer(200, '{}')],
  ['an empty set', answer(200, '{"keys":[]}')],
  ['a set of junk', answer(200, '{"keys":[null,{"kty":"oct","k":"AAAA"}]}')],
  ['a list', answer(200, '[]')],
  ['null', answer(200, 'null')],
  ['no JSON', answer(200, '<html>maintenance</html>')],
  ['half of the JSON', answer(200, '{"keys":[')],
  ['nothing', answer(200, '')],
  ['5 MB', answer(200, JSON.stringify({ keys: [published(es256)], filler: 'x'.repeat(5_000_000) }))],
  ['a connection that is cut', (request) => request.socket.destroy()],
]

describe('an issuer that fails', () => {
  for (const [name, handler] of badAnswers) {
    test(`A102 keys are kept when ${name} comes in place of new ones`, async () => {
      const issuer = await startServer(serve(es256))
      const verifier = verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { maxAge: 300, maxStale: 3600 } })
      expect(await outcomeOf(verifier)).toBe('allow')
      issuer.handler = handler
      kit.advance(301)
      expect(await verifier.refreshKeys()).toBe(false)
      expect(await outcomeOf(verifier)).toBe('allow')
      kit.advance(3_200)
      expect(await outcomeOf(verifier)).toBe('allow')
      kit.advance(100)
      expect(await outcomeOf(verifier)).toBe('keys_unavailable')
    })

    test(`A103 no token is judged while ${name} is all that comes`, async () => {
      const issuer = await startServer(handler)
      const verifier = verifierOf({ jwksUri: `${issuer.origin}/jwks` })
      expect(await verifier.ready()).toBe(false)
      const decision = await decide(verifier)
      expect(decision).toMatchObject({
        outcome: 'deny',
        status: 503,
        code: 'keys_unavailable',
        error: 'temporarily_unavailable',
        headers: { 'retry-after': expect.stringMatching(/^\d+$/), 'cache-control': 'no-store' },
      })
      expect(decision).not.toHaveProperty(['headers', 'www-authenticate'])
    })
  }

  test('A103 an issuer that is down: first its old keys, then 503, then its keys again', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { maxAge: 60, maxStale: 600 } })
    expect(await outcomeOf(verifier)).toBe('allow')
    const good = issuer.handler
    issuer.handler = (request) => request.socket.destroy()
    kit.advance(599)
    expect(await outcomeOf(verifier)).toBe('allow')
    kit.advance(2)
    expect(await outcomeOf(verifier)).toBe('keys_unavailable')
    expect(await outcomeOf(verifier, { token: { signature: () => new Uint8Array(64) } })).toBe(
      'keys_unavailable',
    )
    issuer.handler = good
    kit.advance(60)
    expect(await outcomeOf(verifier)).toBe('allow')
  })

  test('A103 an outage does not make a known kid unknown, nor an unknown one known', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    expect(await outcomeOf(verifier)).toBe('allow')
    issuer.handler = answer(500, '')
    expect(await outcomeOf(verifier, withUnknownKid())).toBe('keys_unavailable')
    expect(await outcomeOf(verifier)).toBe('allow')
    expect(await outcomeOf(verifier, { token: { signature: () => new Uint8Array(64) } })).toBe(
      'signature_invalid',
    )
  })

  test('A103 an issuer that is down is not asked by each request', async () => {
    const issuer = await startServer(answer(500, ''))
    const verifier = verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { cooldown: 30 } })
    for (let count = 0; count < 200; count++) expect(await outcomeOf(verifier)).toBe('keys_unavailable')
    expect(issuer.asked.length).toBeLessThan(20)
  })

  test('A105 a key set that comes byte by byte has one deadline for all of it', async () => {
    const timers = new Set<NodeJS.Timeout>()
    closers.push(() => {
      for (const timer of timers) clearInterval(timer)
    })
    const slow = await startServer((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      timers.add(setInterval(() => response.write(' '), 20))
    })
    const other = await startServer(serve(es384))
    const verifier = verifierOf([
      { url: ISSUER, jwksUri: `${slow.origin}/jwks`, keys: { timeout: 1 } },
      { url: 'https://other.example.com', jwksUri: `${other.origin}/jwks` },
    ])
    const started = performance.now()
    let isSlowOver = false
    const slowOutcome = outcomeOf(verifier).finally(() => {
      isSlowOver = true
    })
    const fromOther = { key: es384, claims: { iss: 'https://other.example.com' } }
    expect(await outcomeOf(verifier, { token: fromOther })).toBe('allow')
    expect(isSlowOver).toBe(false)
    expect(await slowOutcome).toBe('keys_unavailable')
    expect(performance.now() - started).toBeLessThan(5_000)
  })

  test('A105 header fields that never end have the same deadline', async () => {
    const sockets = new Set<Socket>()
    const timers = new Set<NodeJS.Timeout>()
    const server = createTcpServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.write('HTTP/1.1 200 OK\r\n')
      timers.add(setInterval(() => socket.write(`x-${timers.size}: y\r\n`), 20))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    closers.push(() => {
      for (const timer of timers) clearInterval(timer)
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    const jwksUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
    const verifier = verifierOf({ jwksUri, keys: { timeout: 0.3 } })
    const started = performance.now()
    expect(await outcomeOf(verifier)).toBe('keys_unavailable')
    expect(performance.now() - started).toBeLessThan(5_000)
  })

  test('A105 a body that never ends is broken off at a size', async () => {
    let written = 0
    const issuer = await startServer((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      const chunk = Buffer.alloc(64 * 1024, 0x20)
      const write = () => {
        while (!response.destroyed && response.write(chunk)) written += chunk.length
        if (!response.destroyed) response.once('drain', write)
      }
      response.on('error', () => {})
      write()
    })
    const verifier = verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { timeout: 5 } })
    expect(await outcomeOf(verifier)).toBe('keys_unavailable')
    expect(written).toBeLessThan(32 * 1024 * 1024)
  })

  for (const status of [301, 302, 303, 307, 308]) {
    test(`A106 a redirect (${status}) is not followed`, async () => {
      const target = await startServer(serve(es256))
      const issuer = await startServer((_, response) => {
        response
          .writeHead(status, { location: `${target.origin}/jwks` })
          .end(JSON.stringify({ keys: [published(es256)] }))
      })
      const verifier = verifierOf({ jwksUri: `${issuer.origin}/jwks` })
      expect(await outcomeOf(verifier)).toBe('keys_unavailable')
      expect(target.asked).toEqual([])
    })
  }

  test('A106 a redirect to a metadata address is not followed', async () => {
    const asked: string[] = []
    const issuer = await startServer((_, response) => {
      response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data/' }).end()
    })
    const verifier = verifierOf(
      { jwksUri: `${issuer.origin}/jwks` },
      {
        fetch: (input, init) => {
          asked.push(String(input))
          return fetch(input, init)
        },
      },
    )
    expect(await outcomeOf(verifier)).toBe('keys_unavailable')
    expect(asked).toEqual([`${issuer.origin}/jwks`])
  })
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
    const verifier = verifierOf({ url: origin })
    expect(await outcomeOf(verifier, from(origin))).toBe('allow')
    expect(issuer.asked).toEqual([oauthMetadata, '/keys'])
    expect(await outcomeOf(verifier, from(origin))).toBe('allow')
    expect(issuer.asked).toHaveLength(2)
  })

  test('A109 through OpenID discovery where there is none', async () => {
    const issuer = await startServer(() => {})
    const { origin } = issuer
    issuer.handler = site({ [openIdMetadata]: { issuer: origin, jwks_uri: `${origin}/keys` }, '/keys': jwks })
    expect(await outcomeOf(verifierOf({ url: origin }), from(origin))).toBe('allow')
    expect(issuer.asked).toEqual([oauthMetadata, openIdMetadata, '/keys'])
  })

  test('A109 with the path of the issuer where each standard puts it', async () => {
    const issuer = await startServer(() => {})
    const url = `${issuer.origin}/tenant-1`
    issuer.handler = site({
      [`/tenant-1${openIdMetadata}`]: { issuer: url, jwks_uri: `${issuer.origin}/keys` },
      '/keys': jwks,
    })
    expect(await outcomeOf(verifierOf({ url }), from(url))).toBe('allow')
    expect(issuer.asked).toEqual([`${oauthMetadata}/tenant-1`, `/tenant-1${openIdMetadata}`, '/keys'])
  })

  const wrong: [name: string, metadata: (origin: string, other: string) => unknown][] = [
    ['of another issuer', (origin, other) => ({ issuer: other, jwks_uri: `${origin}/keys` })],
    ['whose issuer has a slash more', (origin) => ({ issuer: `${origin}/`, jwks_uri: `${origin}/keys` })],
    ['without an issuer', (origin) => ({ jwks_uri: `${origin}/keys` })],
    ['whose issuer is a list', (origin) => ({ issuer: [origin], jwks_uri: `${origin}/keys` })],
    ['without a key set', (origin) => ({ issuer: origin })],
    ['with a key set at another origin', (origin, other) => ({ issuer: origin, jwks_uri: `${other}/keys` })],
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
      const verifier = verifierOf({ url: issuer.origin })
      expect(await outcomeOf(verifier, from(issuer.origin))).toBe('keys_unavailable')
      expect(issuer.asked).not.toContain('/keys')
      expect(other.asked).toEqual([])
    })
  }

  test('A109 metadata that redirects is not used', async () => {
    const other = await startServer(() => {})
    const issuer = await startServer((_, response) => {
      response.writeHead(302, { location: `${other.origin}/metadata` }).end()
    })
    expect(await outcomeOf(verifierOf({ url: issuer.origin }), from(issuer.origin))).toBe('keys_unavailable')
    expect(other.asked).toEqual([])
  })
})
