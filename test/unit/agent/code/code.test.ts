import { describe, expect, it } from 'vitest'
import {
  type AgentDefinition,
  AgentIntegrityError,
  agentChecksum,
  clients,
  defineAgent,
} from '../../../../src/agent/index.js'
import { agent, failure, startServers } from '../../../support/agent/setup.js'

const intent = { scope: 'orders:read' }

type Execute = ((...args: never[]) => unknown) | undefined

function agentWith(execute: Execute, code: { code?: 'tools' } = { code: 'tools' }) {
  const definition = { ...agent(), ...code }
  const tools = definition.tools.map((tool) => ({ ...tool, execute }))
  return defineAgent({ ...definition, tools })
}

/** Whether a request of the agent is refused after `change`, and with which words. Nothing may be sent. */
async function refusalAfter(definition: AgentDefinition, change: () => () => void): Promise<string> {
  const { issuer, api, client, orders } = await startServers()
  const planner = client('planner', { agent: definition })
  await planner.fetch(orders, { intent })
  const before = [issuer.requests.length, api.requests.length]
  const undo = change()
  try {
    const { message } = await failure(planner.fetch(orders, { intent }), AgentIntegrityError)
    expect([issuer.requests.length, api.requests.length]).toEqual(before)
    return message
  } finally {
    undo()
  }
}

function replace<T extends object, K extends keyof T>(holder: T, member: K, value: T[K]): () => void {
  const before = Object.getOwnPropertyDescriptor(holder, member)
  Object.defineProperty(holder, member, { value, configurable: true, writable: true })
  return () => {
    if (before === undefined) delete holder[member]
    else Object.defineProperty(holder, member, before)
  }
}

/** Other code of the process still works. */
function replaceWithWrapper(holder: typeof Function.prototype, member: 'call' | 'apply'): () => void {
  const { apply } = Reflect
  const own = holder[member]
  return replace(holder, member, function (this: unknown, ...args: unknown[]) {
    return apply(own, this, args)
  })
}

describe("code: 'tools'", () => {
  const search = (query: never) => query

  it('takes the source of each function into the checksum, whatever its line ends', async () => {
    const one = await agentChecksum(agentWith(search))
    expect(await agentChecksum(agentWith((query) => query))).toBe(one)
    expect(await agentChecksum(agentWith((query) => [query]))).not.toBe(one)
    expect(await agentChecksum(agentWith(undefined))).not.toBe(one)
    const [unix, windows] = ['() => {\n}', '() => {\r\n}'].map((source) => new Function(`return ${source}`)())
    expect(await agentChecksum(agentWith(windows))).toBe(await agentChecksum(agentWith(unix)))
    // The published checksum is that of an agent without code.
    expect(await agentChecksum(agentWith(search, {}))).toBe(await agentChecksum(agent()))
  })

  it('sends nothing after a function was replaced, by another source or by another closure', async () => {
    const definition = agentWith(search)
    const [tool] = definition.tools as unknown as [{ execute: Execute }]
    expect(await refusalAfter(definition, () => replace(tool, 'execute', () => 'stolen'))).toMatch(
      /tool "search"/,
    )

    const make = (target: string) => () => target
    const closure = agentWith(make('honest'))
    const [other] = closure.tools as unknown as [{ execute: Execute }]
    expect(await refusalAfter(closure, () => replace(other, 'execute', make('stolen')))).toMatch(
      /tool "search"/,
    )
  })

  it.each([
    ['a bound function', search.bind(undefined)],
    ['a built-in function', Math.max],
    ['a proxy', new Proxy(search, {})],
  ])('refuses %s, which has no source', (_, execute) => {
    expect(() => agentWith(execute)).toThrow(/agent\.tools\[0\]\.execute has no source/)
  })

  it('covers a function whose source only looks built in', () => {
    expect(() => agentWith(() => '{ [native code] }')).not.toThrow()
  })
})

describe('primitives', () => {
  it.each([
    ['crypto.subtle.digest', () => replace(crypto.subtle, 'digest', async () => new ArrayBuffer(32))],
    [
      'crypto.subtle.digest',
      () => replace(Object.getPrototypeOf(crypto.subtle), 'digest', async () => new ArrayBuffer(32)),
    ],
    ['crypto.subtle.sign', () => replace(crypto.subtle, 'sign', async () => new ArrayBuffer(64))],
    ['crypto', () => replace(globalThis, 'crypto', { ...crypto, subtle: crypto.subtle } as typeof crypto)],
    ['TextEncoder.prototype.encode', () => replace(TextEncoder.prototype, 'encode', () => new Uint8Array(3))],
    ['Function.prototype.toString', () => replace(Function.prototype, 'toString', () => '() => 1')],
    ['JSON.stringify', () => replace(JSON, 'stringify', (() => '{}') as never)],
    ['Function.prototype.call', () => replaceWithWrapper(Function.prototype, 'call')],
    ['Function.prototype.apply', () => replaceWithWrapper(Function.prototype, 'apply')],
    ['Reflect.apply', () => replace(Reflect, 'apply', Reflect.apply.bind(Reflect))],
    ['Uint8Array', () => replace(globalThis, 'Uint8Array', class extends Uint8Array {} as never)],
  ])('nothing is sent after %s was replaced', async (name, change) => {
    expect(await refusalAfter(agent(), change)).toContain(`${name} was replaced`)
  })

  it('a replaced Function.prototype.call forges no checksum', async () => {
    const honest = await agentChecksum(agent())
    const { digest } = crypto.subtle
    const { apply } = Reflect
    const forge = function (this: (...args: unknown[]) => unknown, self: unknown, ...args: unknown[]) {
      return this === digest ? new ArrayBuffer(32) : apply(this, self, args)
    }
    const undo = replace(Function.prototype, 'call', forge)
    try {
      expect(await agentChecksum(agent())).toBe(honest)
    } finally {
      undo()
    }
  })

  it('a replaced digest forges no checksum', async () => {
    const honest = await agentChecksum(agent())
    const undo = replace(crypto.subtle, 'digest', async () => new ArrayBuffer(32))
    try {
      expect(await agentChecksum(agent())).toBe(honest)
    } finally {
      undo()
    }
  })
})

describe('code: { digest }', () => {
  const code = { digest: `sha256:${'a'.repeat(64)}` }

  it('is part of the checksum', async () => {
    const other = { digest: `sha256:${'b'.repeat(64)}` }
    const one = await agentChecksum({ ...agent(), code })
    expect(await agentChecksum({ ...agent(), code: other })).not.toBe(one)
    expect(await agentChecksum(agent())).not.toBe(one)
  })

  it('sends nothing without the loader', async () => {
    const { issuer, client, orders } = await startServers()
    const planner = client('planner', { agent: defineAgent({ ...agent(), code }) })
    const { message } = await failure(planner.fetch(orders, { intent }), AgentIntegrityError)
    expect(message).toContain('start Node with --import ajwt/agent/loader')
    expect(issuer.requests).toEqual([])
  })

  it.each([{ digest: 'abc' }, {}, 'all', { digest: undefined }, null])('%j is refused', (wrong) => {
    expect(() => defineAgent({ ...agent(), code: wrong as never })).toThrow(/agent\.code must be/)
  })
})

describe('clients', () => {
  const options = (id: string) => ({
    agent: agent(id),
    tokenEndpoint: 'https://as.example.com/token',
    clientAuth: { method: 'none', clientId: 'app' } as const,
  })

  it('makes the clients of several agents', () => {
    expect(clients(options('planner'), options('worker')).map(({ id }) => id)).toEqual(['planner', 'worker'])
    expect(clients([options('planner'), options('worker')])).toHaveLength(2)
  })

  it('refuses two agents of one checksum', () => {
    expect(() => clients(options('planner'), options('worker'), options('planner'))).toThrow(
      /agents 1 and 3 \("planner"\) have one checksum/,
    )
  })
})
