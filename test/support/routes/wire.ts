import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'

/** A request whose target is sent unchanged. Each character is one byte. */
export interface RawRequest {
  readonly method: string
  readonly target: string
  readonly headers: readonly (readonly [name: string, value: string])[]
}

export interface RawResponse {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
}

/** A server with a replaceable app, and one keep-alive connection to it. */
export interface Wire {
  serve(app: RequestListener): void
  send(request: RawRequest): Promise<RawResponse>
  close(): Promise<void>
}

export async function openWire(): Promise<Wire> {
  let listener: RequestListener = (_request, response) => response.end()
  // Longer than a test, so that no idle connection closes just when a request is sent.
  const options = { keepAliveTimeout: 600_000 }
  const server: Server = createServer(options, (request, response) => listener(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  let connection: Connection | undefined

  return {
    serve(app) {
      listener = app
    },
    async send(request) {
      if (connection === undefined || connection.isOver()) connection = openConnection(port)
      return connection.exchange(toBytes(request), request.method)
    },
    async close() {
      connection?.end()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

export function toBytes({ method, target, headers }: RawRequest): Buffer {
  const lines = [
    `${method} ${target} HTTP/1.1`,
    'host: app.example.com',
    ...headers.map(([name, value]) => `${name}: ${value}`),
  ]
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
}

interface Connection {
  exchange(bytes: Buffer, method: string): Promise<RawResponse>
  isOver(): boolean
  end(): void
}

function openConnection(port: number): Connection {
  const socket: Socket = connect(port, '127.0.0.1')
  socket.setNoDelay(true)
  let received = ''
  let isOver = false
  let settle: (() => void) | undefined
  let fail: ((error: Error) => void) | undefined
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1')
    settle?.()
  })
  socket.on('close', () => {
    isOver = true
    fail?.(new Error(`the connection was closed without a response: ${JSON.stringify(received)}`))
  })
  // 'close' reports the failure.
  socket.on('error', () => {})

  return {
    isOver: () => isOver,
    end: () => socket.destroy(),
    exchange(bytes, method) {
      return new Promise((resolve, reject) => {
        fail = reject
        settle = () => {
          const read = readResponse(received, method)
          if (read === undefined) return
          received = received.slice(read.length)
          settle = undefined
          fail = undefined
          if (read.response.headers.get('connection')?.toLowerCase() === 'close') {
            isOver = true
            socket.destroy()
          }
          resolve(read.response)
        }
        socket.write(bytes)
      })
    },
  }
}

/** The first complete response in the received text, with its length. */
function readResponse(text: string, method: string): { response: RawResponse; length: number } | undefined {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [statusLine = '', ...lines] = text.slice(0, end).split('\r\n')
  const status = Number(statusLine.split(' ')[1])
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
    }),
  )
  const start = end + 4
  const response = { status, headers }
  if (method === 'HEAD' || status === 204 || status === 304) return { response, length: start }
  if (headers.get('transfer-encoding') === 'chunked') {
    const last = /(^|\r\n)0\r\n\r\n/.exec(text.slice(start))
    return last === null ? undefined : { response, length: start + last.index + last[0].length }
  }
  const length = start + Number(headers.get('content-length') ?? 0)
  return text.length < length ? undefined : { response, length }
}
