/** The parts of Node's `IncomingMessage` that a handshake is read from. */
export interface HandshakeRequest {
  readonly method?: string | undefined
  /** As on the wire. */
  readonly url?: string | undefined
  readonly httpVersion: string
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly rawHeaders?: readonly string[] | undefined
}

/**
 * Why a request is no WebSocket handshake of RFC 6455 section 4.1, or is one that two upgrade handlers could
 * read in two ways. Undefined for a plain handshake.
 */
export function findOddity({ method, url = '', httpVersion, headers }: HandshakeRequest): string | undefined {
  if (method !== 'GET') return 'the method of an upgrade is not GET'
  // RFC 9110 section 7.8: an Upgrade in HTTP/1.0 has to be ignored.
  if (httpVersion !== '1.1') return 'an upgrade needs HTTP/1.1'
  const { upgrade } = headers
  if (typeof upgrade !== 'string' || upgrade.toLowerCase() !== 'websocket')
    return 'the Upgrade field does not consist of "websocket"'
  // Its body would be read as frames, or frames as its body.
  if (headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0')
    return 'an upgrade has a body'
  return isReadAsWritten(url)
    ? undefined
    : 'the target is no path, or one that the URL parser reads differently'
}

/** Handlers find the path by `new URL(request.url, base).pathname`, or by comparing `request.url`. */
function isReadAsWritten(target: string): boolean {
  const [path] = target.split('?', 1)
  try {
    return new URL(target, 'http://localhost').pathname === path
  } catch {
    return false
  }
}
