import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { requireBearerAuth as requireBearerAuth1 } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import { requireBearerAuth as requireBearerAuth2 } from '@modelcontextprotocol/server'
import express from 'express'
import { decodeJwt } from 'jose'
import { challengeOf, type McpFetch } from '../../src/agent/index.js'

const resourceMetadataUrl = 'https://orders.example.com/.well-known/oauth-protected-resource/mcp'

/** The token as a gateway has verified it, proof included. */
const verifier = {
  async verifyAccessToken(token: string) {
    const { client_id, scope, exp } = decodeJwt<{ client_id: string; scope?: string; exp: number }>(token)
    return { token, clientId: client_id, scopes: scope?.split(' ') ?? [], expiresAt: exp }
  },
}
const options = { verifier, requiredScopes: ['orders:refund'], resourceMetadataUrl }

const toBearer = (field = '') => field.replace('DPoP ', 'Bearer ')

/**
 * Servers that demand a scope with the middleware of an SDK, with a gateway in front that verifies proofs, or
 * none.
 */
const servers: Record<string, (isGateway: boolean) => RequestListener> = {
  'SDK 1': (isGateway) => {
    const app = express()
    if (isGateway)
      app.use((request, _response, next) => {
        request.headers.authorization = toBearer(request.headers.authorization)
        next()
      })
    app.use(requireBearerAuth1(options), (_request, response) => void response.json({}))
    return app
  },
  'SDK 2': (isGateway) => {
    const gate = requireBearerAuth2(options)
    return getRequestListener(
      async (request) => {
        const headers = new Headers(request.headers)
        if (isGateway) headers.set('authorization', toBearer(headers.get('authorization') ?? ''))
        const result = await gate(new Request(request.url, { headers }))
        return result instanceof Response ? result : Response.json({})
      },
      { overrideGlobalObjects: false },
    )
  },
}

export interface Met {
  /** Without a gateway: the client's reading of the refusal of its scheme. */
  refused: unknown
  /** Status of a request whose scope the challenge widens, and of one whose scope it may not. */
  widened: number
  denied: number
}

/** Calls each server: `connect` makes a `fetch` for its origin, which may or may not request more scope. */
export async function meetChallenges(
  connect: (origin: string, mayStepUp: boolean) => McpFetch,
): Promise<Record<string, Met>> {
  const results: Record<string, Met> = {}
  for (const [name, make] of Object.entries(servers)) {
    const ask = async (isGateway: boolean, mayStepUp: boolean) => {
      const server = createServer(make(isGateway))
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as AddressInfo
      const origin = `http://127.0.0.1:${port}`
      const response = await connect(origin, mayStepUp)(`${origin}/mcp`)
      server.close()
      server.closeAllConnections()
      return response
    }
    results[name] = {
      refused: challengeOf(await ask(false, true)),
      widened: (await ask(true, true)).status,
      denied: (await ask(true, false)).status,
    }
  }
  return results
}
