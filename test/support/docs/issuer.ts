import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { vi } from 'vitest'
import { createKit, ISSUER, issuerJwks } from '../../../fixtures/kit.js'

const realFetch = globalThis.fetch

/**
 * Replaces `fetch`: it serves the metadata and the keys of the examples' issuer, and nothing else outside
 * loopback.
 */
export function stubIssuer(): void {
  vi.stubGlobal('fetch', async (input: string | URL | Request, init?: RequestInit) => {
    const url = input instanceof Request ? input.url : String(input)
    if (url.startsWith('http://127.0.0.1:')) return realFetch(input, init)
    if (url === `${ISSUER}/.well-known/oauth-authorization-server`) {
      return Response.json({ issuer: ISSUER, jwks_uri: `${ISSUER}/jwks` })
    }
    return url === `${ISSUER}/jwks` ? Response.json(issuerJwks()) : new Response(null, { status: 404 })
  })
}

/** An honest request for `fetch`. */
export function honest(
  path: string,
  method = 'GET',
  claims: Record<string, unknown> = {},
): { method: string; headers: Record<string, string> } {
  const { headers } = createKit(Date.now()).call({ path, method, token: { claims } })
  return { method, headers: Object.fromEntries(headers) }
}

const open: (() => void)[] = []

/** Serves an app until `closeAll`. */
export async function serve(listener: RequestListener): Promise<string> {
  return serveOn(createServer(listener))
}

/** Serves on the server of an example until `closeAll`. */
export async function serveOn(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  open.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

export function closeAll(): void {
  for (const close of open.splice(0)) close()
}

/** Status and body of a response. JSON is parsed. */
export async function contentOf(answer: Response | Promise<Response>): Promise<[number, unknown]> {
  const response = await answer
  const text = await response.text()
  return [response.status, text.startsWith('{') ? JSON.parse(text) : text]
}
