import { afterAll, describe, expect, it } from 'vitest'
import { startAuthorizationServer } from '../../../fixtures/authorization-server/server.js'
import { AgentTokenError, agentChecksum, createAgentClient } from '../../../src/agent/index.js'
import { memoryRegistry } from '../../../src/oidc-provider/index.js'
import { ORDERS, planner, SCOPES } from '../../support/agents.js'
import { registerClient } from '../../support/independent-client.js'

const workflows = {
  refund: [
    { id: 'look', scopes: ['orders:read'] },
    { id: 'issue', scopes: ['orders:refund'] },
  ],
}
const registry = memoryRegistry()
await registry.register({ definition: planner, checksum: await agentChecksum(planner), scopes: SCOPES })
const servers = {
  development: await startAuthorizationServer({
    resources: { [ORDERS]: SCOPES },
    workflows,
    registry,
    development: true,
  }),
  production: await startAuthorizationServer({ resources: { [ORDERS]: SCOPES }, workflows, registry }),
}
afterAll(() => Promise.all(Object.values(servers).map((server) => server.close())))

async function refused(server: (typeof servers)['production'], workflow: string, step: string) {
  const { clientId, metadata } = await registerClient(server.issuer)
  registry.permit(clientId, 'planner')
  const client = createAgentClient({
    agent: planner,
    tokenEndpoint: `${server.issuer}/token`,
    clientAuth: { method: 'client_secret_basic', clientId, clientSecret: String(metadata.client_secret) },
    resource: ORDERS,
  })
  const intent = { scope: 'orders:refund', workflow, step }
  const error: unknown = await client.fetch(ORDERS, { intent }).catch((reason: unknown) => reason)
  if (!(error instanceof AgentTokenError)) throw error
  return { clientId, error }
}

describe('a refusal', () => {
  it('names agent, client, workflow, step and reason to the operator, and nothing to the client', async () => {
    const { clientId, error } = await refused(servers.production, 'refund', 'issue')
    const refusal = servers.production.refusals.at(-1)
    expect(refusal).toMatchObject({
      reason: 'step_out_of_order',
      detail: 'step look has had no token in this run',
      agentId: 'planner',
      clientId,
      workflowId: 'refund',
      step: 'issue',
    })
    expect(refusal?.message).toBe(
      `step_out_of_order: step look has had no token in this run (client ${clientId}, agent planner, workflow refund, step issue)`,
    )
    expect(error.message).not.toContain('step_out_of_order')
  })

  it('is told to the client in development mode', async () => {
    const { error } = await refused(servers.development, 'refund', 'issue')
    expect(error.error).toBe('invalid_grant')
    expect(error.message).toContain('step_out_of_order: step look has had no token in this run')
    expect(error.message).toContain('agent planner, workflow refund, step issue')
  })

  it('holds nothing of the request that could forge a line of a log', async () => {
    const { clientId, metadata } = await registerClient(servers.production.issuer)
    registry.permit(clientId, 'planner')
    const agent_checksum = await agentChecksum(planner)
    const client = { clientId, secret: String(metadata.client_secret) }
    // By hand: a client of this library refuses such a name itself.
    const body = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:agent_checksum',
      agent_id: `x\nok: all is well "\\ ${'y'.repeat(500)}`,
      agent_checksum,
      scope: 'orders:read',
      resource: ORDERS,
    })
    const { generateKeyPair, generateProof } = await import('dpop')
    const url = `${servers.production.issuer}/token`
    const dpop = await generateProof(await generateKeyPair('ES256'), url, 'POST')
    const authorization = `Basic ${Buffer.from(`${client.clientId}:${client.secret}`).toString('base64')}`
    expect((await fetch(url, { method: 'POST', headers: { dpop, authorization }, body })).status).toBe(400)
    const refusal = servers.production.refusals.at(-1)
    expect(refusal?.reason).toBe('agent_unknown')
    expect(refusal?.agentId).toHaveLength(256)
    expect(refusal?.message).toMatch(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/)
  })
})
