import { once } from 'node:events'
import { createServer, request as send } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createKit } from '../../../fixtures/kit.js'

/**
 * Forwards every request to a loopback port with a DPoP-bound token and a fresh proof, for programs that
 * cannot send credentials.
 */
export async function startSigningProxy(port: number): Promise<{ origin: string; close(): void }> {
  const proxy = createServer((incoming, outgoing) => {
    const { method = 'GET', url = '/', headers } = incoming
    const credentials = Object.fromEntries(createKit(Date.now()).call({ method, path: url }).headers)
    const forwarded = send(
      { host: '127.0.0.1', port, method, path: url, headers: { ...headers, ...credentials } },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 500, answer.headers)
        answer.pipe(outgoing)
      },
    )
    forwarded.on('error', () => outgoing.destroy())
    // A stream that the client has left must not stay open behind the proxy.
    outgoing.on('close', () => forwarded.destroy())
    incoming.pipe(forwarded)
  })
  await once(proxy.listen(0, '127.0.0.1'), 'listening')
  return {
    origin: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    close() {
      proxy.close()
      proxy.closeAllConnections()
    },
  }
}
