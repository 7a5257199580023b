import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect } from 'vitest'
import { WebSocket } from 'ws'
import type { Verifier } from '../../../src/index.js'
import { honest, serveOn } from './issuer.js'
import type { Example } from './run.js'

/** The exports of the blocks. */
interface Guarded {
  readonly server: Server
}

/** Opens a WebSocket to the server of a block. The first call makes the server listen. */
async function open({ server }: Guarded, headers: Record<string, string>): Promise<WebSocket> {
  const address = server.address() as AddressInfo | null
  const origin = address === null ? await serveOn(server) : `http://127.0.0.1:${address.port}`
  return new WebSocket(`${origin}/live/17`, { headers })
}

async function statusOf(socket: WebSocket): Promise<number> {
  const [, response] = await once(socket, 'unexpected-response')
  socket.on('error', () => {}).terminate()
  return response.statusCode
}

async function answerTo(socket: WebSocket, message: string): Promise<string> {
  socket.send(message)
  return String((await once(socket, 'message'))[0])
}

const allowed = (scope: string, method = 'GET') => honest('/live/17', method, { scope }).headers

const setUp = `import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'
import { createVerifier, guardUpgrade } from 'ajwt'`

/** The examples of docs/websockets.md. */
export const socketExamples: Readonly<Record<string, Example>> = {
  websocket: {
    before: 'const app = (request, response) => response.end()',
    after: 'export { server }',
    check: async (exports) => {
      const app = exports as unknown as Guarded
      expect(await statusOf(await open(app, {}))).toBe(401)
      const reader = await open(app, allowed('live:read'))
      await once(reader, 'open')
      expect(JSON.parse(await answerTo(reader, 'hello'))).toMatchObject({ code: 'scope_insufficient' })
      const writer = await open(app, allowed('live:read live:write'))
      await once(writer, 'open')
      expect(await answerTo(writer, 'hello')).toBe('received hello')
      for (const socket of [reader, writer]) socket.terminate()
    },
  },
  'websocket-fastify': {
    before: `const policy = {
  issuer: 'https://as.example.com',
  audience: 'https://orders.example.com',
  routes: { 'GET /live/:room': { scope: 'live:read' } },
}`,
    after: 'await app.ready()\nconst { server } = app\nexport { server, verifier }',
    replace: ['(app.server, verifier)', '(app.server, verifier, { recheckInterval: 0.05 })'],
    check: async (exports) => {
      const app = exports as unknown as Guarded & { verifier: Verifier }
      expect(await statusOf(await open(app, {}))).toBe(401)
      expect(await statusOf(await open(app, allowed('live:write')))).toBe(403)
      const reader = await open(app, allowed('live:read'))
      await once(reader, 'open')
      expect(JSON.parse(await answerTo(reader, 'hello'))).toMatchObject({ code: 'scope_insufficient' })
      const writer = await open(app, allowed('live:read live:write'))
      await once(writer, 'open')
      expect(await answerTo(writer, 'hello')).toBe('received hello')
      const ends = [reader, writer].map((socket) => once(socket, 'close'))
      app.verifier.close()
      for (const [code] of await Promise.all(ends)) expect(code).toBe(1008)
    },
  },
  'websocket-client': {
    before: `${setUp}
import { createTestIssuer } from 'ajwt/testing'
const issuer = createTestIssuer({ audience: 'https://orders.example.com' })
const routes = { 'GET /live/:room': { scope: 'live:read' } }
const verifier = createVerifier({ issuer: issuer.policyIssuer, audience: issuer.audience, routes })
const server = createServer().listen(0, '127.0.0.1')
guardUpgrade(server, verifier)
new WebSocketServer({ server })
await new Promise((resolve) => server.once('listening', resolve))
const origin = \`ws://127.0.0.1:\${(server.address() as { port: number }).port}\``,
    after: 'export { server, socket }',
    check: async ({ server, socket }) => {
      await once(socket as WebSocket, 'open')
      ;(socket as WebSocket).terminate()
      ;(server as Server).close()
    },
  },
  'websocket-browser': {
    before: `${setUp}
const verifier = createVerifier({
  issuer: 'https://as.example.com',
  audience: 'https://orders.example.com',
  routes: { 'GET /live/:room': 'public', 'POST /live/:room': { scope: 'live:read' } },
})
const server = createServer()
guardUpgrade(server, verifier)
const sockets = new WebSocketServer({ server })`,
    after: 'export { server }',
    check: async (exports) => {
      const app = exports as unknown as Guarded
      const good = JSON.stringify(allowed('live:read', 'POST'))
      for (const message of [
        '',
        'null',
        '[1]',
        '{"get":1}',
        JSON.stringify(allowed('live:read')),
        '{"dpop":[]}',
      ]) {
        const socket = await open(app, {})
        await once(socket, 'open')
        socket.send(message)
        expect([message, (await once(socket, 'close'))[0]]).toEqual([message, 1008])
      }
      const socket = await open(app, {})
      await once(socket, 'open')
      expect(await answerTo(socket, good)).toBe('ready')
      expect(await answerTo(socket, 'hello')).toBe('received hello')
      socket.terminate()
    },
  },
}
