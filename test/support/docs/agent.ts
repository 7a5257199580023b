import { expect } from 'vitest'
import type { Example } from './run.js'

const environment = `import { registerShimAgent } from '../fixtures/demo/shim-agent.js'
import { startEnvironment } from '../fixtures/demo/environment.js'
const environment = await startEnvironment()
const orders = environment.orders.origin`

const oauthServers = `import { browse } from '../test/support/oauth-client.js'
import { startOAuthServers } from '../test/support/agent/oauth-servers.js'
const servers = await startOAuthServers()
const { issuer, api: orders } = servers
const clientAuth = { method: 'client_secret_basic', clientId: 'basic', clientSecret: servers.secret } as const`

/** The examples of docs/agent-client.md. */
export const agentExamples: Readonly<Record<string, Example>> = {
  'agent-fetch': {
    before: `${environment}
const { definition, clientAuth } = await registerShimAgent(environment.as, 'reader')
const { prompt, tools, config = {} } = definition
const tokenEndpoint = environment.as.issuer + '/token'
export const logged: unknown[] = []
const console = { log: (...parts: unknown[]) => void logged.push(...parts) }`,
    // A second request, which the API denies.
    after: `try {
  await client.fetch(orders + '/orders/17', { method: 'DELETE', intent: { scope: 'orders:delete' } })
} catch (error) {
  if (!(error instanceof AjwtDeniedError)) throw error
  console.log(error.code, error.challenge?.acrValues)
}
await environment.close()`,
    replace: ["'https://orders.example.com", "orders + '"],
    check: ({ logged }) =>
      expect(logged).toEqual([{ order: '17', readBy: 'reader' }, 'user_authentication_required', ['phr']]),
  },
  'agent-code': {
    before: `process.env.CODE_DIGEST = 'sha256:' + 'a'.repeat(64)
const prompt = 'You read orders.'
const tools = [{ name: 'read', description: 'Read an order', parameters: { type: 'object' } }]`,
    check: ({ agent }) => expect(agent).toMatchObject({ code: { digest: `sha256:${'a'.repeat(64)}` } }),
  },
  'agent-grants': {
    before: oauthServers,
    after: 'export const body = await response.json()\nservers.close()',
    check: ({ body }) => expect(body).toEqual({ subject: 'basic', scopes: ['orders:read'] }),
  },
  'agent-loopback': {
    before: `${oauthServers}
import { get } from 'node:http'
const clientId = 'native'
const openBrowser = async (url: URL) => get(await browse(url), (response) => response.resume())`,
    after: 'export const body = await response.json()\nservers.close()',
    check: ({ body }) => expect(body).toEqual({ subject: 'alice', scopes: ['orders:read', 'orders:refund'] }),
  },
  'agent-mcp': {
    before: `${environment}
const { client } = environment.shim.refunder`,
    replace: ["'https://orders.example.com'", 'orders'],
    // The message goes to the route of another tool than MCP's: its token decides.
    after: `const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'refund', arguments: {} } }
const response = await mcpFetch(orders + '/orders/17', { method: 'POST', body: JSON.stringify(message) })
export const body = await response.json()
await environment.close()`,
    check: ({ body }) => expect(body).toMatchObject({ id: 1, result: { isError: true } }),
  },
  'agent-tools-of': {
    before: `import { z } from 'zod'
const prompt = 'You read orders.'
const read = { description: 'Read an order', inputSchema: z.object({ order: z.string() }) }`,
    after: 'export { agent }',
    check: ({ agent }) =>
      expect(agent).toMatchObject({
        tools: [
          {
            name: 'read',
            description: 'Read an order',
            parameters: { type: 'object', properties: { order: { type: 'string' } }, required: ['order'] },
          },
        ],
      }),
  },
  'agent-workflow': {
    before: `${environment}\nconst { client } = environment.shim.refunder`,
    after: 'export const body = await answer.json()\nawait environment.close()',
    check: ({ body }) => expect(body).toMatchObject({ refunded: '17', by: 'shim-refunder' }),
  },
  'agent-delegation': {
    before: `${environment}
const planner = environment.shim.planner.client
const worker = environment.shim.refunder.client
// The server records the planner's key with this token.
await planner.fetch(orders + '/orders/17', { intent: { scope: 'orders:read' } })`,
    after: 'export const body = await answer.json()\nawait environment.close()',
    check: ({ body }) => expect(body).toEqual({ order: '17', readBy: 'shim-refunder' }),
  },
}
