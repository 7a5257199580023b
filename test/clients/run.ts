import { agentChecksum, createAgentClient, toolsOf } from '../../src/agent/index.js'
import { meetChallenges } from './challenges.js'
import { type Framework, local, mcp, type Surroundings } from './frameworks.js'

// Runs every framework in one process of Node 22, and prints what each of them showed its model, as JSON.

const { ISSUER = '', SECRET = '', API = '', MCP = '' } = process.env

const options = {
  issuer: ISSUER,
  clientAuth: { method: 'client_secret_basic', clientId: 'basic', clientSecret: SECRET },
  grant: 'client_credentials',
} as const
const client = createAgentClient(options)
const read = { intent: { scope: 'orders:read' } }

const surroundings: Surroundings = {
  mcpUrl: `${MCP}/mcp`,
  // `refund` gets the token that only reads.
  mcpFetch: client.mcpFetch(MCP, {
    default: { scope: '' },
    tools: { read: read.intent, refund: read.intent },
  }),
  oauthProvider: client.oauthProvider,
  async execute({ order }) {
    const url = `${API}/orders/${order}`
    const response =
      order === 'refund'
        ? client.fetch(`${url}/refund`, { ...read, method: 'POST' })
        : client.fetch(url, read)
    return JSON.stringify(await (await response).json())
  },
}

async function report(framework: Framework, calls: { name: string; order: string }[]) {
  try {
    const tools = (await toolsOf(framework.tools as never)).filter(({ name }) => name === 'read')
    const shown: string[] = []
    for (const { name, order } of calls) shown.push(await framework.call({ name, args: { order } }))
    return { tools, checksum: await agentChecksum({ id: 'reader', prompt: 'Read.', tools }), shown }
  } catch (error) {
    return { failure: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  } finally {
    await framework.close?.()
  }
}

const results: Record<string, unknown> = {}
for (const [name, make] of Object.entries(local))
  results[name] = await report(make(surroundings), [
    { name: 'read', order: '17' },
    { name: 'read', order: 'refund' },
  ])
for (const [name, make] of Object.entries(mcp))
  results[`${name}, MCP`] = await report(await make(surroundings), [
    { name: 'read', order: '17' },
    { name: 'refund', order: '17' },
    { name: 'read', order: '99' },
  ])
const challenges = await meetChallenges((origin, mayStepUp) => {
  const stepUp = mayStepUp ? 'orders:refund' : 'orders:list'
  const caller = createAgentClient({ ...options, origins: { [API]: [origin] }, stepUp })
  return caller.mcpFetch(API, { default: { scope: 'orders:read' } })
})
process.stdout.write(`\n${JSON.stringify({ results, challenges })}\n`, () => process.exit(0))
