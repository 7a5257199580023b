import { createHash } from 'node:crypto'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import vectors from '../../../fixtures/vectors/agent-checksum.json' with { type: 'json' }
import {
  type AgentDefinition,
  agentChecksum,
  canonicalPrompt,
  createAgentClient,
  defineAgent,
  intentHash,
} from '../../../src/agent/index.js'
import { agent } from '../../support/agent/setup.js'

describe('agentChecksum', () => {
  it.each(vectors.vectors)('$name', async ({ definition, canonical, checksum }) => {
    expect(`sha256:${createHash('sha256').update(canonical).digest('hex')}`).toBe(checksum)
    expect(await agentChecksum(definition as AgentDefinition)).toBe(checksum)
  })

  it('changes with each part of the agent', async () => {
    const base = agent()
    const tool = { name: 'search', description: 'Find an order', parameters: { type: 'object' } }
    const others: AgentDefinition[] = [
      { ...base, id: 'planner2' },
      { ...base, prompt: `${base.prompt} Quickly.` },
      { ...base, tools: [] },
      { ...base, tools: [{ ...tool, name: 'Search' }] },
      { ...base, tools: [{ ...tool, description: 'Find an order ' }] },
      { ...base, tools: [{ name: 'search', parameters: tool.parameters }] },
      { ...base, tools: [{ ...tool, parameters: { type: 'array' } }] },
      { ...base, config: { model: 'm-2' } },
    ]
    const checksums = await Promise.all([base, ...others].map(agentChecksum))
    expect(new Set(checksums).size).toBe(checksums.length)
  })

  it('counts an undefined member as absent, and a plain object of another realm as plain', async () => {
    const config = { model: 'm-1', seed: undefined }
    expect(await agentChecksum({ ...agent(), config })).toBe(await agentChecksum(agent()))
    const foreign = runInNewContext('({ model: "m-1" })')
    expect(await agentChecksum({ ...agent(), config: foreign })).toBe(await agentChecksum(agent()))
  })

  it('does not take a member named __proto__ for a prototype', async () => {
    const config = JSON.parse('{"model":"m-1","__proto__":{"temperature":2}}')
    expect(await agentChecksum({ ...agent(), config })).not.toBe(await agentChecksum(agent()))
  })
})

describe('defineAgent', () => {
  it('returns the object itself, so that later changes are seen', async () => {
    const definition = agent()
    expect(defineAgent(definition)).toBe(definition)
    const before = await agentChecksum(definition)
    definition.tools[0]?.parameters && Object.assign(definition.tools[0].parameters, { properties: {} })
    expect(await agentChecksum(definition)).not.toBe(before)
  })

  const cyclic: Record<string, unknown> = {}
  cyclic.self = cyclic
  const tool = { name: 't', description: '', parameters: {} }
  const wrong: [string, unknown, RegExp][] = [
    ['no object', null, /agent must be an object/],
    ['an empty id', { id: '' }, /agent\.id/],
    ['a | in the id', { id: 'a|b' }, /agent\.id/],
    ['a letter beyond ASCII in the id', { id: 'plänner' }, /agent\.id/],
    ['a control character in the id', { id: 'a\nb' }, /agent\.id/],
    ['an id of 257 characters', { id: 'a'.repeat(257) }, /agent\.id/],
    ['no prompt', { prompt: undefined }, /agent\.prompt/],
    ['a lone surrogate in the prompt', { prompt: 'x\ud800' }, /agent\.prompt/],
    ['no tools', { tools: undefined }, /agent\.tools/],
    ['a tool that is no object', { tools: [null] }, /agent\.tools\[0\]/],
    ['a tool without a name', { tools: [{ ...tool, name: '' }] }, /agent\.tools\[0\]\.name/],
    ['a description that is no text', { tools: [{ ...tool, description: null }] }, /description/],
    ['parameters that are no object', { tools: [{ ...tool, parameters: [] }] }, /parameters/],
    ['two tools of one name', { tools: [tool, { ...tool, description: 'x' }] }, /two tools named "t"/],
    ['a function in config', { config: { f: () => 1 } }, /agent\.config\.f/],
    ['a class instance in config', { config: { at: new Date() } }, /agent\.config\.at/],
    ['a prototype of its own making', { config: Object.create(Object.create(null)) }, /agent\.config/],
    ['a bigint', { config: { n: 1n } }, /agent\.config\.n/],
    ['NaN', { config: { n: [Number.NaN] } }, /agent\.config\.n\[0\]/],
    ['a hole in an array', { config: { n: new Array(1) } }, /agent\.config\.n\[0\]/],
    ['a cycle', { config: cyclic }, /deeper than 64/],
    ['a lone surrogate in a member name', { config: { '\udc00': 1 } }, /agent\.config/],
  ]
  it.each(wrong)('refuses %s', async (_, change, message) => {
    const definition = change === null ? null : { ...agent(), ...(change as object) }
    expect(() => defineAgent(definition as AgentDefinition)).toThrow(message)
    expect(() => defineAgent(definition as AgentDefinition)).toThrow(TypeError)
    await expect(agentChecksum(definition as AgentDefinition)).rejects.toThrow(message)
  })
})

describe('a member that the checksum does not cover', () => {
  const tool = { name: 't', description: '', parameters: {} }
  const inherited = Object.assign(Object.create({ strict: true }), tool)
  const hidden = Object.defineProperty({ ...tool }, 'annotations', { value: { readOnlyHint: true } })
  it.each<[string, object, string]>([
    ['of the definition', { model: 'm-1' }, 'agent.model'],
    ['of the definition, even undocumented', { system: 'Refund.' }, 'agent.system'],
    ['of a tool', { tools: [tool, { ...tool, name: 'u', strict: true }] }, 'agent.tools[1].strict'],
    ['that a tool inherits', { tools: [inherited] }, 'agent.tools[0].strict'],
    ['that is not enumerable', { tools: [hidden] }, 'agent.tools[0].annotations'],
    ['whose name is a symbol', { [Symbol('x')]: 1 }, 'agent.Symbol(x)'],
    ['that should be a function', { tools: [{ ...tool, execute: 'rm' }] }, 'agent.tools[0].execute'],
  ])('%s is refused by name', (_, change, path) => {
    const definition = { ...agent(), ...change } as AgentDefinition
    expect(() => defineAgent(definition)).toThrow(path)
    const options = {
      tokenEndpoint: 'https://as.example.com/token',
      clientAuth: { method: 'none' as const, clientId: 'c' },
    }
    expect(() => createAgentClient({ ...options, agent: definition })).toThrow(path)
  })

  it('is the function of a tool alone, which changes no checksum', async () => {
    const tools = agent().tools.map((known) => ({ ...known, execute: () => 1, strict: undefined }))
    const definition = defineAgent({ ...agent(), tools })
    expect(await agentChecksum(definition)).toBe(await agentChecksum(agent()))
  })
})

describe('canonicalPrompt', () => {
  it('is the text that the checksum covers', async () => {
    const prompt = 'Allowed:\r\n  - read\n\n    - refund\t'
    expect(canonicalPrompt(prompt)).toBe('Allowed:\n- read\n- refund')
    expect(await agentChecksum({ ...agent(), prompt })).toBe(
      await agentChecksum({ ...agent(), prompt: canonicalPrompt(prompt) }),
    )
  })
})

describe('intentHash', () => {
  it('is the base64url SHA-256 of the UTF-8 text', async () => {
    const expected = createHash('sha256').update('Refund order 7 — 20 €').digest('base64url')
    expect(await intentHash('Refund order 7 — 20 €')).toBe(expected)
  })

  it('refuses what has no UTF-8 form', async () => {
    await expect(intentHash('\ud800')).rejects.toThrow(TypeError)
  })
})
