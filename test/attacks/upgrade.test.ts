import { once } from 'node:events'
import type { Server } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { describe, expect, it, test } from 'vitest'
import { memoryRevocations, type Revocations } from '../../src/index.js'
import { handshakeText, rawConnection, serveSockets } from '../support/sockets.js'

const path = '/live/17'

/** Resolves when a server has no connection left. */
async function noConnection(server: Server): Promise<void> {
  const count = () => new Promise<number>((resolve) => server.getConnections((_, number) => resolve(number)))
  while ((await count()) > 0) await wait(10)
}

describe('a handshake that is none, or that handlers could read in two ways, reaches no handler', () => {
  const targets = [
    'http://orders.example.com/open',
    'ws://orders.example.com/open',
    '//orders.example.com/open',
    '/open/../live/17',
    '/open/%2e%2e/live/17',
    '/open\\..\\live\\17',
    '/./open',
    '/open#/live/17',
    '/OPEN',
    '/open/',
    '/%6fpen',
    '/open%00',
    '/open;/../live/17',
    '/open\xe9',
    '*',
    'open',
  ]

  it.each(targets)('the target %s', async (target) => {
    const { port, reached, kit } = await serveSockets({ unmatched: 'public' })
    const { socket, received } = await rawConnection(port)
    socket.write(handshakeText({ ...kit.call(), headers: [] }, `GET ${target} HTTP/1.1`), 'latin1')
    expect(await received).toMatch(/^(HTTP\/1\.1 4|$)/)
    expect(reached).toEqual([])
  })

  it.each([
    ['POST', 'POST /open HTTP/1.1', []],
    ['HEAD', 'HEAD /open HTTP/1.1', []],
    ['OPTIONS', 'OPTIONS /open HTTP/1.1', []],
    ['get', 'get /open HTTP/1.1', []],
    ['CONNECT', 'CONNECT /open HTTP/1.1', []],
    ['HTTP/1.0', 'GET /open HTTP/1.0', []],
    ['HTTP/2.0', 'GET /open HTTP/2.0', []],
    ['another protocol', 'GET /open HTTP/1.1', ['Upgrade: h2c']],
    ['two protocols', 'GET /open HTTP/1.1', ['Upgrade: h2c, websocket']],
    ['the protocol twice', 'GET /open HTTP/1.1', ['Upgrade: websocket', 'Upgrade: h2c']],
    ['a body', 'GET /open HTTP/1.1', ['Content-Length: 5', '', 'hello']],
    ['a chunked body', 'GET /open HTTP/1.1', ['Transfer-Encoding: chunked', '', '0']],
    ['a method override', 'GET /open HTTP/1.1', ['X-HTTP-Method-Override: POST']],
  ] as const)('%s', async (_, start, lines) => {
    const { port, reached, kit } = await serveSockets({ unmatched: 'public' })
    const { socket, received } = await rawConnection(port)
    socket.end(handshakeText({ ...kit.call(), headers: [] }, start, lines))
    expect(await received).not.toMatch(/^HTTP\/1\.1 101/)
    expect(reached).toEqual([])
  })

  test('and is reported to the operator', async () => {
    const { port, facts, codes, kit } = await serveSockets()
    const { socket, received } = await rawConnection(port)
    socket.write(handshakeText(kit.call(), 'POST /open HTTP/1.1'))
    expect(await received).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/)
    expect([codes, facts[0]?.cause]).toEqual([
      ['deny rule route_not_declared'],
      { reason: 'the method of an upgrade is not GET', found: 'POST /open', unverified: true },
    ])
  })
})

test('nor where only some routes are observed', async () => {
  const routes = { 'GET /open': 'public', 'GET /live/:room': { mode: 'enforce', scope: 'x' } } as const
  const { port, reached, kit } = await serveSockets({ mode: 'observe', routes })
  const { socket, received } = await rawConnection(port)
  socket.write(handshakeText({ ...kit.call(), headers: [] }, 'POST /open HTTP/1.1'))
  expect(await received).toMatch(/^HTTP\/1\.1 403 /)
  expect(reached).toEqual([])
})

describe('credentials', () => {
  it.each([
    ['two Authorization fields', ['Authorization: Basic eDp5']],
    ['two DPoP fields', ['DPoP: a.b.c']],
  ])('%s', async (_, more) => {
    const { port, reached, kit } = await serveSockets()
    const request = kit.call({ path })
    const { socket, received } = await rawConnection(port)
    const text = handshakeText(request)
    socket.write(text.replace('\r\n\r\n', `\r\n${more[0]}\r\n\r\n`))
    expect(await received).toMatch(/^HTTP\/1\.1 40[01] /)
    expect(reached).toEqual([])
  })
})

describe('on the wire', () => {
  it('a denial is one whole HTTP response, also if the client had sent more after the handshake', {
    // A busy machine can be late once.
    retry: 2,
  }, async () => {
    const { port, server, reached, kit } = await serveSockets()
    const { socket, received } = await rawConnection(port)
    const since = Date.now()
    const unsigned = handshakeText({ ...kit.call({ path }), headers: [] })
    socket.write(unsigned + 'x'.repeat(200_000) + handshakeText(kit.call({ path })))
    const [head = '', body = '', ...more] = (await received).split('\r\n\r\n')
    expect(head).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n/)
    expect(head).toContain(`content-length: ${body.length}`)
    expect(JSON.parse(body)).toMatchObject({ code: 'credentials_missing' })
    expect([more, reached]).toEqual([[], []])
    // The data of the client is read, so that both sides close the connection, and it is not reset.
    await noConnection(server)
    expect(Date.now() - since).toBeLessThan(900)
  })

  it('keeps the first frame that came in one packet with the handshake', async () => {
    const { port, messages, kit } = await serveSockets()
    const { socket } = await rawConnection(port)
    const frame = String.fromCharCode(0x81, 0x82, 0, 0, 0, 0, 0x67, 0x6f)
    socket.write(handshakeText(kit.call({ path })) + frame, 'latin1')
    while (messages.length === 0) await wait(5)
    expect(messages).toEqual(['go'])
  })

  it('keeps the frames that came while it was deciding', async () => {
    const revocations: Revocations = { isRevoked: () => wait(60, false) }
    const { port, messages, kit } = await serveSockets({}, { revocations })
    const { socket } = await rawConnection(port)
    socket.write(handshakeText(kit.call({ path })))
    for (const text of ['a', 'b']) {
      await wait(10)
      socket.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, text.charCodeAt(0)]))
    }
    while (messages.length < 2) await wait(5)
    expect(messages).toEqual(['a', 'b'])
  })

  it('a pipelined handshake gets no response that belongs to an earlier request', async () => {
    const { port, reached, kit } = await serveSockets({}, {}, {}, (request, response) => {
      setTimeout(() => response.end(`answer to ${request.url}`), 50)
    })
    const { socket, received } = await rawConnection(port)
    const first = 'GET /first HTTP/1.1\r\nHost: orders.example.com\r\n\r\n'
    socket.write(first + handshakeText({ ...kit.call({ path }), headers: [] }))
    expect(await received).toBe('')
    expect(reached).toEqual([])
  })

  it('a handshake on a connection that has answered a request before is decided as any other', async () => {
    const { port, reached, kit } = await serveSockets()
    const { socket } = await rawConnection(port)
    socket.write('GET /first HTTP/1.1\r\nHost: orders.example.com\r\n\r\n')
    await once(socket, 'data')
    socket.write(handshakeText(kit.call({ path })))
    expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1\.1 101 /)
    expect(reached).toHaveLength(1)
  })
})

describe('odd timing', () => {
  it('a peer that resets while it is decided on reaches no handler, and ends no process', async () => {
    let decide: ((isRevoked: boolean) => void) | undefined
    const revocations: Revocations = {
      isRevoked: () =>
        new Promise((resolve) => {
          decide = resolve
        }),
    }
    const { port, server, reached, kit, codes } = await serveSockets({}, { revocations })
    const { socket } = await rawConnection(port)
    socket.write(handshakeText(kit.call({ path })))
    while (decide === undefined) await wait(5)
    socket.resetAndDestroy()
    await noConnection(server)
    decide(false)
    while (codes.length === 0) await wait(5)
    await wait(20)
    expect([codes, reached]).toEqual([['allow'], []])
  })

  it('a peer that resets at once when it is denied ends no process', async () => {
    const { port, kit, codes } = await serveSockets()
    const { socket } = await rawConnection(port)
    socket.write(handshakeText({ ...kit.call({ path }), headers: [] }))
    socket.resetAndDestroy()
    await wait(50)
    expect(codes.every((code) => code === 'deny request credentials_missing')).toBe(true)
  })

  it('a denied peer that never closes is dropped', async () => {
    const { port, server, kit } = await serveSockets()
    const { socket } = await rawConnection(port, { allowHalfOpen: true })
    socket.write(handshakeText({ ...kit.call({ path }), headers: [] }))
    await once(socket, 'data')
    const count = () =>
      new Promise<number>((resolve) => server.getConnections((_, number) => resolve(number)))
    const since = Date.now()
    while ((await count()) > 0) await wait(20)
    expect(Date.now() - since).toBeLessThan(10_000)
  })

  it('200 handshakes at once: each gets its own grant or its own denial', async () => {
    const revocations = memoryRevocations()
    const { connect, kit, reached } = await serveSockets({}, { revocations })
    const asked = Array.from({ length: 200 }, async (_, index) => {
      const isHonest = index % 2 === 0
      const claims = { room: `r${index}`, ...(isHonest ? {} : { scope: 'other' }) }
      const { status } = await connect(kit.call({ path: `/live/r${index}`, token: { claims } }))
      expect(status).toBe(isHonest ? 101 : 403)
    })
    await Promise.all(asked)
    expect(reached).toHaveLength(100)
    for (const { ajwt } of reached) expect(ajwt?.params.room).toBe(ajwt?.claims.room)
  })
})
