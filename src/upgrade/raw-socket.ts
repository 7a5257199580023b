import type { Denial } from '../decision.js'

/** The parts of Node's `net.Socket` and `tls.TLSSocket` that a guard uses. */
export interface UpgradeSocket {
  readonly destroyed: boolean
  readonly writable: boolean
  readonly bytesWritten: number
  end(bytes: Uint8Array): unknown
  destroy(): unknown
  resume(): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  once(event: 'close', listener: () => void): unknown
  removeAllListeners(event: 'data' | 'readable'): unknown
}

/** How long the peer has to read the last bytes and to close its side. */
const lingerMilliseconds = 1000

const reasonPhrases: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  429: 'Too Many Requests',
  503: 'Service Unavailable',
}

/** Answers a handshake with a denial, as HTTP, and ends the connection. */
export function answerHandshake(socket: UpgradeSocket, { status, headers, body }: Denial): void {
  const content = new TextEncoder().encode(JSON.stringify(body))
  const fields = {
    ...headers,
    date: new Date().toUTCString(),
    connection: 'close',
    'content-length': String(content.length),
  }
  const head = [
    `HTTP/1.1 ${status} ${reasonPhrases[status] ?? ''}`,
    ...Object.entries(fields).map(([name, value]) => `${name}: ${value}`),
    '',
    '',
  ]
  endWith(socket, concat(new TextEncoder().encode(head.join('\r\n')), content))
}

/** RFC 6455 section 7.4.1: the endpoint has received what its policy does not allow. */
const POLICY_VIOLATION = 1008

/**
 * Ends a WebSocket with a Close frame. Later messages reach no handler. The frame is written past
 * the WebSocket library: its own close() goes on to receive until the peer agrees.
 */
export function closeWebSocket(socket: UpgradeSocket, reason: string): void {
  const text = new TextEncoder().encode(reason)
  const payload = concat(Uint8Array.of(POLICY_VIOLATION >> 8, POLICY_VIOLATION & 0xff), text)
  // FIN and opcode 8 (RFC 6455 section 5.2). A server does not mask.
  endWith(socket, concat(Uint8Array.of(0x88, payload.length), payload))
}

function endWith(socket: UpgradeSocket, bytes: Uint8Array): void {
  socket.removeAllListeners('data')
  socket.removeAllListeners('readable')
  // Unread bytes would make the kernel reset the connection, and the peer lose the answer.
  socket.resume()
  socket.end(bytes)
  const timer = setTimeout(() => socket.destroy(), lingerMilliseconds)
  timer.unref?.()
  socket.once('close', () => clearTimeout(timer))
}

function concat(one: Uint8Array, other: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(one.length + other.length)
  bytes.set(one)
  bytes.set(other, one.length)
  return bytes
}
