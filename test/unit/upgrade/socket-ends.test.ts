import { once } from 'node:events'
import { createServer } from 'node:http'
import { type Duplex, Writable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { delegatedCall, oneHop } from '../../../fixtures/delegation-kit.js'
import { createKit, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import {
  createVerifier,
  type Decision,
  guardUpgrade,
  memoryRevocations,
  type Revocations,
} from '../../../src/index.js'
import {
  closeOf,
  handshakeText,
  listenOn,
  livePolicy,
  rawConnection,
  serveSockets,
} from '../../support/sockets.js'

const path = '/live/17'
const often = { recheckInterval: 0.05 }
const expiresSoon = () => ({ token: { claims: { exp: Math.floor(Date.now() / 1000) + 3 } } })

function writableOf(take: (bytes: Buffer) => void): Writable {
  return new Writable({
    write(bytes, _encoding, done) {
      take(bytes)
      done()
    },
  })
}

describe('an open socket', () => {
  it('ends with its token, with Close code 1008', async () => {
    const { connect, call, codes, facts, sockets } = await serveSockets()
    const { socket } = await connect(call(path, expiresSoon()))
    const opened = Date.now()
    expect(await closeOf(socket)).toBe('1008 token_expired')
    expect(Date.now() - opened).toBeLessThan(10_000)
    expect([codes, facts[1]?.overrules]).toEqual([['allow', 'deny token token_expired'], 'allow'])
    while (sockets.clients.size > 0) await wait(5)
  })

  it.each([
    ['its token', (jti: string) => `token:${ISSUER} ${jti}`],
    ['its agent', () => `agent:${ISSUER} agent-7`],
    ['its registration', () => `registration:${ISSUER} reg-7`],
  ])('ends when %s is revoked', async (_, idOf) => {
    const revocations = memoryRevocations()
    const { connect, call, reached, codes } = await serveSockets({}, { revocations }, often)
    const { socket } = await connect(call(path))
    await wait(120)
    expect(socket.readyState).toBe(1)
    revocations.revoke(idOf(reached[0]?.ajwt?.token.id ?? ''), Date.now() / 1000 + 600)
    expect(await closeOf(socket)).toBe('1008 token_revoked')
    expect(codes).toEqual(['allow', 'deny revocation token_revoked'])
  })

  it('ends when the agent that initiated the run is revoked', async () => {
    const revocations = memoryRevocations()
    const { connect, kit } = await serveSockets({}, { revocations }, often)
    const { socket } = await connect(await delegatedCall(kit, { agents: oneHop }))
    revocations.revoke(`agent:${ISSUER} supervisor`, Date.now() / 1000 + 600)
    expect(await closeOf(socket)).toBe('1008 token_revoked')
  })

  it.each([
    ['its token', (jti: string) => `token:${ISSUER} ${jti}`],
    ['the agent that initiated the run', () => `agent:${ISSUER} supervisor`],
  ])('ends at once when a store that tells of it revokes %s, and not for another', async (_, idOf) => {
    const revocations = memoryRevocations()
    const { connect, kit, reached } = await serveSockets({}, { revocations }, { recheckInterval: 300 })
    const { socket } = await connect(await delegatedCall(kit, { agents: oneHop }))
    await wait(20)
    revocations.revoke(`agent:${ISSUER} somebody-else`, Date.now() / 1000 + 600)
    await wait(20)
    expect(socket.readyState).toBe(1)
    const since = performance.now()
    revocations.revoke(idOf(reached[0]?.ajwt?.token.id ?? ''), Date.now() / 1000 + 600)
    expect(await closeOf(socket)).toBe('1008 token_revoked')
    expect(performance.now() - since).toBeLessThan(10_000)
  })

  it('listens to no store once it has closed', async () => {
    let listeners = 0
    const revocations: Revocations = {
      isRevoked: () => false,
      onRevoked() {
        listeners += 1
        return () => {
          listeners -= 1
        }
      },
    }
    const { connect, call, sockets } = await serveSockets({}, { revocations }, often)
    const { socket } = await connect(call(path))
    expect(listeners).toBe(1)
    socket.close()
    while (sockets.clients.size > 0) await wait(5)
    expect(listeners).toBe(0)
  })

  it('ends when revocations are unavailable, as a request would', async () => {
    let isUp = true
    const revocations: Revocations = {
      isRevoked: async () => (isUp ? false : Promise.reject(new Error('down'))),
    }
    const { connect, call } = await serveSockets({}, { revocations }, often)
    const { socket } = await connect(call(path))
    await wait(120)
    isUp = false
    expect(await closeOf(socket)).toBe('1008 revocations_unavailable')
    await expect(connect(call(path))).resolves.toMatchObject({ status: 503 })
  })

  it('ends when the issuer withdraws the key that has signed its token', async () => {
    let { keys } = issuerJwks()
    const issuer = { url: ISSUER, jwksUri: `${ISSUER}/jwks` }
    const fetch = async () => Response.json({ keys })
    const { connect, call, verifier } = await serveSockets({ issuer }, { fetch }, often)
    const { socket } = await connect(call(path))
    const closed = closeOf(socket)
    keys = keys.filter(({ kid }) => kid !== 'as-es256')
    expect(await verifier.refreshKeys()).toBe(true)
    expect(await closed).toBe('1008 key_not_found')
  })

  it('ends when its verifier is closed', async () => {
    const { connect, call, verifier } = await serveSockets({}, {}, often)
    const { socket } = await connect(call(path))
    verifier.close()
    expect(await closeOf(socket)).toBe('1008 internal_error')
  })

  it('stays open on a public route', async () => {
    let asked = 0
    const counting: Revocations = { isRevoked: () => ++asked < 0 }
    const { connect, kit } = await serveSockets({}, { revocations: counting }, often)
    const { socket } = await connect({ ...kit.call({ path: '/open' }), headers: [] })
    await wait(150)
    expect([socket.readyState, asked]).toEqual([1, 0])
  })

  it('lets no message through after its end, though the peer goes on to send', async () => {
    const revocations = memoryRevocations()
    const { kit, port, messages, codes } = await serveSockets({}, { revocations }, often)
    const { socket, received } = await rawConnection(port, { allowHalfOpen: true })
    socket.write(handshakeText(kit.call({ path })))
    await once(socket, 'data')
    // A masked text frame: "go".
    const frame = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x67, 0x6f])
    const sending = setInterval(() => socket.writable && socket.write(frame), 1)
    while (messages.length < 5) await wait(1)
    revocations.revoke(`agent:${ISSUER} agent-7`, Date.now() / 1000 + 600)
    while (codes.length < 2) await wait(1)
    const messagesBefore = messages.length
    expect(await received).toContain('token_revoked')
    clearInterval(sending)
    expect(messages.length).toBe(messagesBefore)
  })

  it.each<[string, (socket: Duplex, take: (bytes: Buffer) => void) => void]>([
    ['readable', (socket, take) => socket.on('readable', () => take(socket.read()))],
    ['pipe', (socket, take) => socket.pipe(writableOf(take))],
  ])('hands nothing on to a library that reads it by %s', async (_, read) => {
    const revocations = memoryRevocations()
    const codes: string[] = []
    const onDecision = ({ outcome }: Decision) => void codes.push(outcome)
    const server = createServer()
    guardUpgrade(server, createVerifier(livePolicy, { revocations, onDecision }), often)
    let taken = 0
    server.on('upgrade', (_request, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
      read(socket, () => taken++)
    })
    const { socket, received } = await rawConnection(await listenOn(server), { allowHalfOpen: true })
    socket.write(handshakeText(createKit(Date.now()).call({ path })))
    await once(socket, 'data')
    const sending = setInterval(() => socket.writable && socket.write('more'), 1)
    while (taken < 5) await wait(1)
    revocations.revoke(`agent:${ISSUER} agent-7`, Date.now() / 1000 + 600)
    while (codes.length < 2) await wait(1)
    const takenBefore = taken
    expect(await received).toContain('token_revoked')
    clearInterval(sending)
    expect(taken).toBe(takenBefore)
  })

  it('is destroyed where the peer neither reads nor closes', async () => {
    const revocations = memoryRevocations()
    const { kit, port, sockets } = await serveSockets({}, { revocations }, often)
    sockets.on('connection', (webSocket) => webSocket.send('x'.repeat(4_000_000)))
    const { socket } = await rawConnection(port)
    socket.write(handshakeText(kit.call({ path })))
    await once(socket, 'data')
    socket.pause()
    revocations.revoke(`agent:${ISSUER} agent-7`, Date.now() / 1000 + 600)
    const since = Date.now()
    while (sockets.clients.size > 0) await wait(10)
    expect(Date.now() - since).toBeLessThan(10_000)
  })

  it('is dropped without a Close frame where the app has not answered the handshake', async () => {
    const { server, kit, port } = await serveSockets({}, {}, often)
    server.removeAllListeners('upgrade')
    server.on('upgrade', () => {})
    const { socket, received } = await rawConnection(port)
    socket.write(handshakeText(kit.call({ path, ...expiresSoon() })))
    expect(await received).toBe('')
  })

  it('is asked about no more once it has closed', async () => {
    let asked = 0
    const revocations: Revocations = { isRevoked: () => ++asked < 0 }
    const { connect, call, sockets } = await serveSockets({}, { revocations }, often)
    const opened = await Promise.all(Array.from({ length: 20 }, () => connect(call(path))))
    for (const { socket } of opened) socket.close()
    while (sockets.clients.size > 0) await wait(5)
    const afterTheEnd = asked
    await wait(150)
    expect(asked).toBe(afterTheEnd)
  })
})
