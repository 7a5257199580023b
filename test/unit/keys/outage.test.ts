import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { beforeEach, describe, expect, test } from 'vitest'
import { ISSUER, issuerKeys, published } from '../../../fixtures/kit.js'
import { answer, atEnd, createKeysKit, cut, type Handler, serve, startServer } from '../../support/issuer.js'

const { es256, es384 } = issuerKeys

let setup: ReturnType<typeof createKeysKit>

beforeEach(() => {
  setup = createKeysKit()
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
  ['a connection that is cut', cut],
]

describe('an issuer that fails', () => {
  for (const [name, handler] of badAnswers) {
    test(`A102 keys are kept when ${name} comes in place of new ones`, async () => {
      const issuer = await startServer(serve(es256))
      const verifier = setup.verifierOf({
        jwksUri: `${issuer.origin}/jwks`,
        keys: { maxAge: 300, maxStale: 3600 },
      })
      expect(await setup.outcomeOf(verifier)).toBe('allow')
      issuer.handler = handler
      setup.kit.advance(301)
      expect(await verifier.refreshKeys()).toBe(false)
      expect(await setup.outcomeOf(verifier)).toBe('allow')
      setup.kit.advance(3_200)
      expect(await setup.outcomeOf(verifier)).toBe('allow')
      setup.kit.advance(100)
      expect(await setup.outcomeOf(verifier)).toBe('keys_unavailable')
    })

    test(`A103 no token is decided on while the answer is ${name}`, async () => {
      const issuer = await startServer(handler)
      const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks` })
      expect(await verifier.ready()).toMatchObject({ ready: false, issuers: [{ url: ISSUER, ready: false }] })
      const decision = await setup.decide(verifier)
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
    const verifier = setup.verifierOf({
      jwksUri: `${issuer.origin}/jwks`,
      keys: { maxAge: 60, maxStale: 600 },
    })
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    const good = issuer.handler
    issuer.handler = cut
    setup.kit.advance(599)
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    setup.kit.advance(2)
    expect(await setup.outcomeOf(verifier)).toBe('keys_unavailable')
    expect(await setup.outcomeOf(verifier, { token: { signature: () => new Uint8Array(64) } })).toBe(
      'keys_unavailable',
    )
    issuer.handler = good
    setup.kit.advance(60)
    expect(await setup.outcomeOf(verifier)).toBe('allow')
  })

  test('A103 an outage does not make a known kid unknown, nor an unknown one known', async () => {
    const issuer = await startServer(serve(es256))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks` })
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    issuer.handler = answer(500, '')
    expect(await setup.outcomeOf(verifier, setup.withUnknownKid())).toBe('keys_unavailable')
    expect(await setup.outcomeOf(verifier)).toBe('allow')
    expect(await setup.outcomeOf(verifier, { token: { signature: () => new Uint8Array(64) } })).toBe(
      'signature_invalid',
    )
  })

  test('A103 an issuer that is down is not asked by each request', async () => {
    const issuer = await startServer(answer(500, ''))
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { cooldown: 30 } })
    for (let count = 0; count < 200; count++) expect(await setup.outcomeOf(verifier)).toBe('keys_unavailable')
    expect(issuer.requestedPaths.length).toBeLessThan(20)
  })

  test('A105 a key set that comes byte by byte has one deadline for all of it', async () => {
    const timers = new Set<NodeJS.Timeout>()
    atEnd(() => {
      for (const timer of timers) clearInterval(timer)
    })
    const slow = await startServer((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      timers.add(setInterval(() => response.write(' '), 20))
    })
    const other = await startServer(serve(es384))
    const verifier = setup.verifierOf([
      { url: ISSUER, jwksUri: `${slow.origin}/jwks`, keys: { timeout: 2 } },
      { url: 'https://other.example.com', jwksUri: `${other.origin}/jwks` },
    ])
    const started = performance.now()
    let isSlowOver = false
    const slowOutcome = setup.outcomeOf(verifier).finally(() => {
      isSlowOver = true
    })
    const fromOther = { key: es384, claims: { iss: 'https://other.example.com' } }
    expect(await setup.outcomeOf(verifier, { token: fromOther })).toBe('allow')
    expect(isSlowOver).toBe(false)
    expect(await slowOutcome).toBe('keys_unavailable')
    expect(performance.now() - started).toBeLessThan(15_000)
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
    atEnd(() => {
      for (const timer of timers) clearInterval(timer)
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    const jwksUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
    const verifier = setup.verifierOf({ jwksUri, keys: { timeout: 0.3 } })
    const started = performance.now()
    expect(await setup.outcomeOf(verifier)).toBe('keys_unavailable')
    expect(performance.now() - started).toBeLessThan(15_000)
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
    const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks`, keys: { timeout: 5 } })
    expect(await setup.outcomeOf(verifier)).toBe('keys_unavailable')
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
      const verifier = setup.verifierOf({ jwksUri: `${issuer.origin}/jwks` })
      expect(await setup.outcomeOf(verifier)).toBe('keys_unavailable')
      expect(target.requestedPaths).toEqual([])
    })
  }

  test('A106 a redirect to a metadata address is not followed', async () => {
    const asked: string[] = []
    const issuer = await startServer((_, response) => {
      response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data/' }).end()
    })
    const verifier = setup.verifierOf(
      { jwksUri: `${issuer.origin}/jwks` },
      {
        fetch: (input, init) => {
          asked.push(String(input))
          return fetch(input, init)
        },
      },
    )
    expect(await setup.outcomeOf(verifier)).toBe('keys_unavailable')
    expect(asked).toEqual([`${issuer.origin}/jwks`])
  })
})
