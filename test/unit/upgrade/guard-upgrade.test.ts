import { once } from 'node:events'
import { createServer, IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import express from 'express'
import { describe, expect, it, onTestFinished, test } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { delegatedCall, oneHop, parties } from '../../../fixtures/delegation-kit.js'
import { createKit, ISSUER, plainRequest } from '../../../fixtures/kit.js'
import { ajwt } from '../../../middleware/express.js'
import { createVerifier, guardUpgrade, memoryRevocations, PolicyError } from '../../../src/index.js'
import { handshake, listenOn, livePolicy, type Reached, serveSockets } from '../../support/sockets.js'

describe('an upgrade that the policy allows', () => {
  it('reaches the handler with its grant', async () => {
    const { connect, call, reached, decisionOf, codes } = await serveSockets()
    const { status } = await connect(call('/live/17'))
    expect(status).toBe(101)
    expect(reached[0]?.ajwt).toMatchObject({
      agent: { id: 'agent-7' },
      route: '/live/:room',
      params: { room: '17' },
    })
    expect(decisionOf(reached[0] as Reached)).toMatchObject({ outcome: 'allow', grant: reached[0]?.ajwt })
    expect(codes).toEqual(['allow'])
  })

  it.each([
    ['a public route', '/open', 'public'],
    ['an anonymous request', '/feed', 'anonymous'],
  ])('has no grant on %s', async (_, path, outcome) => {
    const { connect, reached, decisionOf } = await serveSockets()
    expect((await connect(plainRequest('GET', path))).status).toBe(101)
    expect([reached[0]?.ajwt, decisionOf(reached[0] as Reached).outcome]).toEqual([undefined, outcome])
  })

  it('can be asked for more in each message', async () => {
    const { connect, call, sockets, verifier, decisionOf } = await serveSockets()
    sockets.on('connection', (webSocket: WebSocket, request: Reached) => {
      const decision = decisionOf(request)
      webSocket.on('message', async (text) => {
        const denial = await verifier.check(decision, { scope: String(text) })
        webSocket.send(denial?.code ?? 'done')
      })
    })
    const { socket } = await connect(call('/live/17'))
    for (const [scope, answer] of [
      ['orders:read', 'done'],
      ['orders:refund', 'scope_insufficient'],
    ] as const) {
      socket.send(scope)
      expect(String((await once(socket, 'message'))[0])).toBe(answer)
    }
  })

  it('takes no grant that stood on the request before', async () => {
    class Forged extends IncomingMessage {
      ajwt = 'forged'
    }
    const server = createServer({ IncomingMessage: Forged })
    guardUpgrade(server, createVerifier(livePolicy))
    const sockets = new WebSocketServer({ server })
    const grants: unknown[] = []
    sockets.on('connection', (_, request: Reached) => grants.push(request.ajwt))
    await handshake(await listenOn(server), plainRequest('GET', '/open'))
    expect(grants).toEqual([undefined])
  })
})

describe('a denied upgrade is answered over HTTP, and reaches no handler', () => {
  const revocations = memoryRevocations()
  revocations.revoke(`agent:${ISSUER} agent-8`, Date.now() / 1000 + 600)
  const kit = createKit(Date.now())
  const expired = { claims: { iat: kit.seconds - 200, exp: kit.seconds - 100 } }
  const revoked = { claims: { sub: 'agent-8', intent: kit.intent({ executed_by: 'agent-8' }) } }
  const path = '/live/17'

  it.each([
    ['request', 'credentials_missing', 401, () => plainRequest('GET', path)],
    ['token', 'token_expired', 401, () => kit.call({ path, token: expired })],
    ['revocation', 'token_revoked', 401, () => kit.call({ path, token: revoked })],
    ['proof', 'proof_missing', 401, () => kit.call({ path, proof: null })],
    [
      'proof',
      'proof_uri_mismatch',
      401,
      () => kit.call({ path, proof: { htu: 'wss://orders.example.com/live/17' } }),
    ],
    ['proof', 'proof_method_mismatch', 401, () => kit.call({ path, proof: { method: 'POST' } })],
    ['rule', 'scope_insufficient', 403, () => kit.call({ path, token: { claims: { scope: 'other' } } })],
    ['rule', 'route_not_declared', 403, () => kit.call({ path: '/elsewhere' })],
  ] as const)('%s: %s', async (stage, code, status, request) => {
    const { connect, reached, codes } = await serveSockets({}, { revocations })
    const answer = await connect(request())
    expect([answer.status, JSON.parse(answer.body)]).toEqual([status, expect.objectContaining({ code })])
    expect(answer.headers['www-authenticate']).toMatch(/^DPoP /)
    expect(answer.headers).toMatchObject({ 'content-type': 'application/json', connection: 'close' })
    expect([reached, codes]).toEqual([[], [`deny ${stage} ${code}`]])
  })

  it('delegation: another key has signed the hop', async () => {
    const { connect, reached, kit, codes } = await serveSockets()
    expect((await connect(await delegatedCall(kit, { agents: oneHop }))).status).toBe(101)
    const forged = await delegatedCall(kit, {
      agents: oneHop,
      hops: { 0: { signer: parties.stranger.key } },
    })
    expect((await connect(forged)).status).toBe(401)
    expect([reached.length, codes]).toEqual([1, ['allow', 'deny delegation delegation_signature_invalid']])
  })

  it('proof: the same proof a second time, and at the same time', async () => {
    const { connect, call, reached } = await serveSockets()
    const request = call('/live/17')
    const answers = await Promise.all([connect(request), connect(request), connect(request)])
    expect(answers.map(({ status }) => status).sort()).toEqual([101, 401, 401])
    expect(reached).toHaveLength(1)
  })

  it('with a nonce for the next proof', async () => {
    const { connect, kit, call } = await serveSockets({ proof: { nonce: 'required' } })
    const { status, headers } = await connect(call('/live/17'))
    expect([status, headers['www-authenticate']]).toEqual([401, expect.stringContaining('use_dpop_nonce')])
    const proof = { claims: { nonce: headers['dpop-nonce'] } }
    expect((await connect(kit.call({ path: '/live/17', proof }))).status).toBe(101)
  })

  it('with 503 where the keys are unavailable', async () => {
    const fetch = async () => Promise.reject(new Error('no network'))
    const { connect, call } = await serveSockets({ issuer: ISSUER }, { fetch })
    const { status, headers } = await connect(call('/live/17'))
    expect([status, headers['retry-after']]).toEqual([503, '1'])
  })
})

describe('observed', () => {
  it('a denial lets the upgrade through without a grant, and the socket stays', async () => {
    const { connect, call, reached, codes } = await serveSockets(
      { mode: 'observe' },
      {},
      { recheckInterval: 0.05 },
    )
    expect((await connect(plainRequest('GET', '/live/17'))).status).toBe(101)
    expect([reached[0]?.ajwt, codes]).toEqual([undefined, ['observe request credentials_missing']])
    const seconds = Math.floor(Date.now() / 1000)
    const { socket } = await connect(call('/live/17', { token: { claims: { exp: seconds + 3 } } }))
    while (codes.length < 3) await wait(20)
    await wait(300)
    // Told once, and not at each interval.
    expect([socket.readyState, codes.slice(1)]).toEqual([1, ['allow', 'observe token token_expired']])
  })
})

describe('every upgrade listener is behind the guard', () => {
  it('before it and after it, of the server, of ws, and with once', async () => {
    const kit = createKit(Date.now())
    const server = createServer()
    const seen: string[] = []
    server.on('upgrade', () => seen.push('before'))
    guardUpgrade(server, createVerifier(livePolicy))
    server.prependListener('upgrade', () => seen.push('prepended'))
    server.once('upgrade', () => seen.push('once'))
    const sockets = new WebSocketServer({ server })
    sockets.on('connection', (_, request: Reached) => seen.push(request.ajwt?.agent.id ?? 'nobody'))
    const port = await listenOn(server)
    onTestFinished(() => sockets.close())
    expect((await handshake(port, plainRequest('GET', '/live/1'))).status).toBe(401)
    expect(seen).toEqual([])
    expect((await handshake(port, kit.call({ path: '/live/1' }))).status).toBe(101)
    expect(seen).toEqual(['prepended', 'before', 'once', 'agent-7'])
  })

  it('of two guards, both have to let it through', async () => {
    const { server, connect, call, reached } = await serveSockets()
    guardUpgrade(
      server,
      createVerifier({ ...livePolicy, routes: { 'GET /live/17': { scope: 'orders:read' } } }),
    )
    expect((await connect(call('/live/17'))).status).toBe(101)
    expect((await connect(call('/live/18'))).status).toBe(403)
    expect(reached).toHaveLength(1)
  })

  it('lets an Express app behind it decide the same request, which is no replay', async () => {
    const kit = createKit(Date.now())
    const verifier = createVerifier(livePolicy)
    const app = express().use(ajwt(verifier))
    app.get('/live/:room', (req, res) => void res.end(`for ${req.ajwt?.agent.id}`))
    const server = createServer(app)
    guardUpgrade(server, verifier)
    // As express-ws and others route upgrades.
    server.on('upgrade', (request, socket) => {
      const response = new ServerResponse(request)
      response.assignSocket(socket as Socket)
      app(request, response)
    })
    const port = await listenOn(server)
    const { status, body } = await handshake(port, kit.call({ path: '/live/1' }))
    expect([status, body]).toEqual([200, 'for agent-7'])
  })

  it('leaves ordinary requests to the app', async () => {
    const { port, codes } = await serveSockets()
    expect(await (await fetch(`http://127.0.0.1:${port}/live/17`)).text()).toBe('from the app')
    expect(codes).toEqual([])
  })

  it('ends the socket where no listener is left', async () => {
    const leave: { server?: Server } = {}
    const revocations = {
      isRevoked: () => {
        leave.server?.removeAllListeners('upgrade')
        return false
      },
    }
    const { server, connect, call, codes } = await serveSockets({}, { revocations })
    leave.server = server
    await expect(connect(call('/live/17'))).rejects.toThrow('socket hang up')
    expect(codes).toEqual(['allow'])
  })
})

describe('mistakes are reported at once', () => {
  const verifier = createVerifier(livePolicy)

  test.each([
    ['an app', Object.assign(() => {}, { emit: () => true, listen: () => {} })],
    ['a WebSocketServer', new WebSocketServer({ noServer: true })],
    ['nothing', undefined],
  ])('%s is no server', (_, server) => {
    expect(() => guardUpgrade(server as never, verifier)).toThrow(/takes a server of node:http or node:https/)
  })

  test('a policy is no verifier', () => {
    expect(() => guardUpgrade(createServer(), livePolicy as never)).toThrow(/createVerifier\(policy\)/)
  })

  test.each([0, -1, 301, Number.NaN, '10'])('an interval of %s', (recheckInterval) => {
    expect(() => guardUpgrade(createServer(), verifier, { recheckInterval } as never)).toThrow(PolicyError)
  })

  test('a request that no guard has let through has no decision', async () => {
    const { decisionOf } = await serveSockets()
    expect(() => decisionOf({})).toThrow(/that this guard has let through/)
  })

  test('an option that there is not', () => {
    expect(() => guardUpgrade(createServer(), verifier, { interval: 1 } as never)).toThrow(/options.interval/)
  })
})
