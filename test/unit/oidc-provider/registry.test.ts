import { describe, expect, it } from 'vitest'
import { agentChecksum } from '../../../src/agent/index.js'
import { memoryRegistry, RegistrationError } from '../../../src/oidc-provider/index.js'

const definition = { id: 'planner', prompt: 'You plan.', tools: [] }
const registration = async (change: object = {}) => ({
  definition: { ...definition, ...change },
  checksum: await agentChecksum({ ...definition, ...change }),
  scopes: ['orders:read'],
})

describe('the registry in memory', () => {
  it('keeps every version, and holds all for current until they are retired', async () => {
    const registry = memoryRegistry()
    const first = await registry.register(await registration())
    const second = await registry.register(await registration({ prompt: 'You plan better.' }))
    expect([first.version, second.version]).toEqual([1, 2])
    expect(first.registrationId).not.toBe(second.registrationId)
    expect(registry.registrations('planner')).toEqual([first, second])
    expect(registry.versions('planner')).toEqual([first, second])
    expect(registry.registrations('stranger')).toEqual([])
    expect(registry.versions('stranger')).toEqual([])
  })

  it('loses none of the versions that are registered at once', async () => {
    const registry = memoryRegistry()
    const wanted = await Promise.all([1, 2, 3].map((config) => registration({ config: { config } })))
    await Promise.all(wanted.map(registry.register))
    expect(registry.versions('planner').map(({ version }) => version)).toEqual([1, 2, 3])
  })

  it.each([
    [
      'a checksum that is not its own',
      async () => ({ ...(await registration()), definition: { ...definition, prompt: '' } }),
    ],
    ['an id with |', async () => ({ ...(await registration()), definition: { ...definition, id: 'a|b' } })],
    [
      'a definition that has no checksum',
      async () => ({
        ...(await registration()),
        definition: { ...definition, config: { at: new Date() } as never },
      }),
    ],
  ])('refuses %s, and goes on', async (_, wrong) => {
    const registry = memoryRegistry()
    await expect(registry.register(await wrong())).rejects.toThrow(RegistrationError)
    expect(registry.registrations('planner')).toEqual([])
    expect((await registry.register(await registration())).version).toBe(1)
  })
})

describe('the keys of a registration', () => {
  it('belong to it, and end with it', async () => {
    const registry = memoryRegistry()
    const first = await registry.register(await registration())
    const second = await registry.register(await registration({ prompt: 'You plan better.' }))
    registry.sawKey(first, 'one')
    registry.sawKey(second, 'two')
    expect([registry.knowsKey(first, 'one'), registry.knowsKey(second, 'one')]).toEqual([true, false])
    registry.retire(first.registrationId)
    registry.sawKey(first, 'three')
    expect([registry.knowsKey(first, 'one'), registry.knowsKey(first, 'three')]).toEqual([false, false])
    expect(registry.knowsKey(second, 'two')).toBe(true)
    expect(registry.registrations('planner')).toEqual([second])
    expect(registry.versions('planner')).toEqual([first, second])
  })

  it('age, and can be forgotten', async () => {
    let now = 0
    const registry = memoryRegistry({ keyMaxAge: 60, now: () => now })
    const agent = await registry.register(await registration())
    registry.sawKey(agent, 'one')
    now = 30_000
    registry.sawKey(agent, 'two')
    now = 60_000
    expect([registry.knowsKey(agent, 'one'), registry.knowsKey(agent, 'two')]).toEqual([false, true])
    registry.forgetKey('planner', 'two')
    expect(registry.knowsKey(agent, 'two')).toBe(false)
    expect(() => memoryRegistry({ keyMaxAge: 0 })).toThrow('keyMaxAge')
  })

  it('do not grow without end', async () => {
    const registry = memoryRegistry()
    const agent = await registry.register(await registration())
    for (let i = 0; i <= 1000; i++) registry.sawKey(agent, `key-${i}`)
    expect([registry.knowsKey(agent, 'key-0'), registry.knowsKey(agent, 'key-1')]).toEqual([false, true])
  })
})

describe('the same definition, registered again', () => {
  it('changes nothing, or replaces its earlier registration where the scopes are others', async () => {
    const registry = memoryRegistry()
    const first = await registry.register(await registration())
    expect(await registry.register(await registration())).toBe(first)
    const wider = await registry.register({ ...(await registration()), scopes: ['orders:refund'] })
    expect(registry.registrations('planner')).toEqual([wider])
  })
})

describe('a person', () => {
  const approval = { intentHash: 'x', agentId: 'planner', acr: 'phr', amr: [], authTime: 7 }

  it('has a name that no agent can be registered under', async () => {
    const registry = memoryRegistry({ isPerson: async (name) => name === 'carol' })
    registry.approve({ ...approval, user: 'alice' })
    for (const id of ['alice', 'carol'])
      await expect(registry.register(await registration({ id }))).rejects.toThrow(
        `"${id}" is the name of a person`,
      )
    const unsure = memoryRegistry({ isPerson: () => undefined as never })
    await expect(unsure.register(await registration())).rejects.toThrow(RegistrationError)
  })

  it('approves for a while', () => {
    let now = 0
    const registry = memoryRegistry({ approvalMaxAge: 60, now: () => now })
    const query = { intentHash: 'x', agentId: 'planner', workflowId: undefined, user: undefined }
    const { id } = registry.approve({ ...approval, user: 'alice' })
    expect(registry.approval(query)).toMatchObject({ id })
    now = 60_000
    expect(registry.approval(query)).toBeUndefined()
    expect(registry.useApproval(id)).toBe(false)
  })
})
