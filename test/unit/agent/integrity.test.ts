import { describe, expect, it } from 'vitest'
import { type AgentDefinition, AgentIntegrityError, agentChecksum } from '../../../src/agent/index.js'
import { agent, failure, startServers } from '../../support/agent/setup.js'

const intent = { scope: 'orders:read' }
const to = { id: 'worker', jkt: 'w'.repeat(43) }
const grant = { scope: 'orders:read', audience: 'https://orders.example.com' }

const changes: [string, (definition: ReturnType<typeof agent>) => void][] = [
  ['its prompt', (definition) => (definition.prompt += ' Refund everything.')],
  ['its id', (definition) => (definition.id = 'supervisor')],
  [
    'a tool more',
    (definition) => (definition.tools as unknown[]).push({ name: 'x', description: '', parameters: {} }),
  ],
  ['a tool less', (definition) => (definition.tools as unknown[]).pop()],
  [
    "a tool's description",
    (definition) => Object.assign(definition.tools[0] ?? {}, { description: 'Delete it' }),
  ],
  [
    "deep in a tool's schema",
    (definition) => Object.assign(definition.tools[0]?.parameters ?? {}, { a: { b: 1 } }),
  ],
  ['its config', (definition) => (definition.config = { model: 'm-2' })],
  ['something that has no checksum', (definition) => (definition.config = { f: () => 1 })],
  ['a member that is not known', (definition) => Object.assign(definition, { system: 'Refund.' })],
  [
    "a tool's member that is not known",
    (definition) => Object.assign(definition.tools[0] ?? {}, { strict: 1 }),
  ],
]

describe('an agent that has changed in', () => {
  it.each(changes)('%s sends nothing and signs nothing, cached token or not', async (_, change) => {
    const { issuer, api, client, orders } = await startServers()
    const definition = agent()
    const planner = client('planner', { agent: definition })
    const run = planner.startWorkflow('refund')
    await planner.fetch(orders, { intent })
    change(definition)
    const before = [issuer.requests.length, api.requests.length]
    for (const scope of ['orders:read', 'orders:write']) {
      const error = await failure(planner.fetch(orders, { intent: { scope } }), AgentIntegrityError)
      expect(error.agentId).toBe('planner')
      expect(error.actual).not.toBe(error.expected)
      expect(error.message).not.toContain('Refund everything')
    }
    await failure(run.fetch(orders, { intent }), AgentIntegrityError)
    await failure(
      run.step('review', (step) => step.fetch(orders, { intent })),
      AgentIntegrityError,
    )
    await failure(planner.delegate(to, grant), AgentIntegrityError)
    await failure(run.delegate(to, grant), AgentIntegrityError)
    expect([issuer.requests.length, api.requests.length]).toEqual(before)
  })

  it('the indentation of its prompt, which the model sees and the checksum does not', async () => {
    const { issuer, api, client, orders } = await startServers()
    const definition = { ...agent(), prompt: 'Never:\n  - refund\n- ask' }
    const checksum = await agentChecksum(definition)
    const planner = client('planner', { agent: definition, checksum })
    definition.prompt = 'Never:\n- refund\n- ask'
    const error = await failure(planner.fetch(orders, { intent }), AgentIntegrityError)
    expect(error.message).toBe('agent planner has changed: the indentation of its prompt has changed')
    expect([error.expected, error.actual]).toEqual([checksum, checksum])
    expect([issuer.requests, api.requests]).toEqual([[], []])
  })

  it('says which member it is that has no checksum', async () => {
    const { client, orders } = await startServers()
    const definition = agent()
    const planner = client('planner', { agent: definition })
    Object.assign(definition.tools[0] ?? {}, { strict: true })
    await expect(planner.fetch(orders, { intent })).rejects.toThrow('agent.tools[0].strict')
  })

  it('its prompt behind a getter is found out, too', async () => {
    let prompt = 'You plan refunds.'
    const definition: AgentDefinition = {
      ...agent(),
      get prompt() {
        return prompt
      },
    }
    const { client, orders } = await startServers()
    const planner = client('planner', { agent: definition })
    await planner.fetch(orders, { intent })
    prompt = 'You refund.'
    await failure(planner.fetch(orders, { intent }), AgentIntegrityError)
  })
})

describe('the checksum that counts', () => {
  it('is the registered one, where it is given', async () => {
    const { issuer, client, orders } = await startServers()
    const checksum = await agentChecksum(agent())
    expect((await client('planner', { checksum }).fetch(orders, { intent })).status).toBe(200)
    expect(issuer.requests[0]?.params.agent_checksum).toBe(checksum)
    const error = await failure(
      client('planner', { checksum: `sha256:${'0'.repeat(64)}` }).fetch(orders, { intent }),
      AgentIntegrityError,
    )
    expect([error.expected, error.actual]).toEqual([`sha256:${'0'.repeat(64)}`, checksum])
    expect(issuer.requests).toHaveLength(1)
  })

  it('is else that of the very moment at which the client was made', async () => {
    const { client, orders } = await startServers()
    const definition = agent()
    const planner = client('planner', { agent: definition })
    definition.prompt = 'Changed before the first request.'
    await failure(planner.fetch(orders, { intent }), AgentIntegrityError)
  })

  it('lets an agent that was changed back go on', async () => {
    const { client, orders } = await startServers()
    const definition = agent()
    const planner = client('planner', { agent: definition })
    const { prompt } = definition
    definition.prompt = 'x'
    await failure(planner.fetch(orders, { intent }), AgentIntegrityError)
    definition.prompt = ` ${prompt}\r\n`
    expect((await planner.fetch(orders, { intent })).status).toBe(200)
  })
})
