import { describe, expect, it } from 'vitest'
import { agentChecksum } from '../../src/agent/index.js'
import { memoryRegistry, RegistrationError } from '../../src/oidc-provider/index.js'

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
