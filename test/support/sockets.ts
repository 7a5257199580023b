import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { onTestFinished } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { createKit, ISSUER, issuerJwks, type Kit, type WireRequest } from '../../fixtures/kit.js'
import {
  createVerifier,
  type DecisionFacts,
  guardUpgrade,
  type Policy,
  type UpgradeOptions,
  type UpgradeRequest,
  type VerifierOptions,
} from '../../src/index.js'

/** A request that reached the upgrade handler, as the app sees it. */
export type Reached = IncomingMessage & UpgradeRequest

/** The outcome of a handshake. */
export interface Handshake {
  /** 101, or the status of the denial. */
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
  readonly socket: WebSocket
}

export const livePolicy: Policy = {
  issuer: { url: ISSUER, jwks: issuerJwks() },
  audience: 'https://orders.example.com',
  token: { clockTolerance: 0 },
  routes: {
    'GET /live/:room': { scope: 'orders:read' },
    'GET /open': 'public',
    'GET /feed': { anonymous: true },
    'GET /orders/:id': { delegation: { initiators: ['supervisor'], required: true } },
  },
}

/** A guarded server with a `ws` behind it, and all that reached that. */
export async function serveSockets(
  policy: Partial<Policy> = {},
  options: VerifierOptions = {},
  guard: UpgradeOptions = {},
  app: RequestListener = (_, response) => void response.end('from the app'),
) {
  const kit = createKit(Date.now())
  const facts: DecisionFacts[] = []
  const codes: string[] = []
  const verifier = createVerifier(
    { ...livePolicy, ...policy },
    {
      onDecision: (decision, decisionFacts) => {
        facts.push(decisionFacts)
        codes.push(
          'code' in decision ? `${decision.outcome} ${decision.stage} ${decision.code}` : decision.outcome,
        )
      },
      ...options,
    },
  )
  const server = createServer(app)
  const { decisionOf } = guardUpgrade(server, verifier, guard)
  const sockets = new WebSocketServer({ noServer: true })
  const reached: Reached[] = []
  const messages: string[] = []
  server.on('upgrade', (request: Reached, socket: Duplex, head: Buffer) => {
    reached.push(request)
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on('message', (text) => messages.push(String(text)))
      sockets.emit('connection', webSocket, request)
    })
  })
  const port = await listenOn(server)
  onTestFinished(() => {
    verifier.close()
    for (const client of sockets.clients) client.terminate()
  })
  return {
    kit,
    server,
    port,
    verifier,
    decisionOf,
    sockets,
    /** Requests that reached the upgrade handler. */
    reached,
    /** Messages that reached the app. */
    messages,
    facts,
    /** The outcome of each decision, in order. */
    codes,
    connect: (request: WireRequest) => handshake(port, request),
    call: (path: string, over: Parameters<Kit['call']>[0] = {}) => kit.call({ path, ...over }),
  }
}

export async function listenOn(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}

/** Opens a WebSocket with these header fields, and waits for the answer. */
export async function handshake(port: number, { url, headers }: WireRequest): Promise<Handshake> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${url}`, { headers: Object.fromEntries(headers) })
  onTestFinished(() => socket.terminate())
  return new Promise((resolve, reject) => {
    let upgrade: IncomingMessage
    socket.on('upgrade', (response) => {
      upgrade = response
    })
    socket.on('open', () => resolve({ status: 101, headers: upgrade.headers, body: '', socket }))
    socket.on('error', reject)
    socket.on('unexpected-response', async (_, response) => {
      let body = ''
      for await (const chunk of response) body += chunk
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body, socket })
    })
  })
}

/** Code and reason of the Close frame that a client gets. */
export async function closeOf(socket: WebSocket): Promise<string> {
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer]
  return `${code} ${reason}`
}

/** A raw connection, and the data that it gets until the server ends it. */
export async function rawConnection(
  port: number,
  options: { allowHalfOpen?: boolean } = {},
): Promise<{ socket: Socket; received: Promise<string> }> {
  const socket = connect({ port, host: '127.0.0.1', ...options })
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  let text = ''
  socket.setEncoding('latin1')
  socket.on('data', (chunk) => {
    text += chunk
  })
  socket.on('error', () => {})
  const received = new Promise<string>((resolve) => socket.on('close', () => resolve(text)))
  return { socket, received }
}

/** The bytes of a handshake. `lines` replace the fields of the same name, and come after the others. */
export function handshakeText(
  { url, headers }: WireRequest,
  start = `GET ${url} HTTP/1.1`,
  lines: readonly string[] = [],
): string {
  const nameOf = (line: string) => line.split(':', 1)[0]?.toLowerCase()
  const own = [
    'Host: orders.example.com',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ...headers.map(([name, value]) => `${name}: ${value}`),
  ].filter((line) => !lines.some((other) => nameOf(other) === nameOf(line)))
  return [start, ...own, ...lines, '', ''].join('\r\n')
}
